package metrics

import (
	"time"

	"github.com/headgate/headgate/rpc"
)

// Sessions records how long sessions lasted.
type Sessions struct {
	known  Vocabulary
	server *histogram[sessionKey]
}

// NewSessions returns a record in which there are no sessions.
func NewSessions(known Vocabulary) *Sessions {
	return &Sessions{known: known, server: newHistogram[sessionKey](serverSession)}
}

// Ended records that a client's session has ended.
func (s *Sessions) Ended(spoken rpc.Revision, lasted time.Duration) {
	if !s.known.Revision(spoken) {
		spoken = Other
	}
	s.server.observe(sessionKey{spoken}, lasted)
}

// Samples is the [Source] of what was recorded.
func (s *Sessions) Samples(to *Sink) { s.server.samples(to) }

// sessionKey tells the series of mcp.server.session.duration apart.
type sessionKey struct{ version rpc.Revision }

func (k sessionKey) values() []string   { return []string{string(k.version), "tcp", "http"} }
func (k sessionKey) folded() sessionKey { return k }
