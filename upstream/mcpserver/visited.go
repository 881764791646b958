package mcpserver

import (
	"time"

	"github.com/headgate/headgate/rpc"
)

// OnVisited sets who is told, between the calls of a client session, that a page was
// visited to its end which the session's user was asked to visit. It is set before the first call.
// f must not block; the message is f's to keep.
func (s *Server) OnVisited(f func(session string, m *rpc.Message)) { s.visits.Store(&f) }

// visited passes on that a page was visited to its end (MCP 2025-11-25, Elicitation,
// Completion Notifications). Whose page it is, only the connection tells: on one that clients share
// it is nobody's, and a modern client between two requests cannot be told.
func (s *Server) visited(l link, m *rpc.Message) {
	f := s.visits.Load()
	if k, open := s.links.keyOf(l); f != nil && open && k.session != "" && s.asides.take(time.Now()) {
		(*f)(k.session, m.Clone())
	}
}
