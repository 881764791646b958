package metrics

import (
	"time"

	"github.com/headgate/headgate/rpc"
)

// Sessions records how long sessions lasted.
type Sessions struct {
	known  Vocabulary
	server *histogram[sessionKey]
	client *histogram[clientSessionKey]
}

// NewSessions returns a record in which there are no sessions.
func NewSessions(known Vocabulary) *Sessions {
	return &Sessions{known: known, server: newHistogram[sessionKey](serverSession, ofTools), client: newHistogram[clientSessionKey](clientSession, ofTools)}
}

// Ended records that a client's session has ended.
func (s *Sessions) Ended(spoken rpc.Revision, lasted time.Duration) {
	s.server.observe(sessionKey{s.revision(spoken)}, lasted)
}

// EndedUpstream records that a session with a legacy upstream has ended, over http, sse, ws or stdio.
func (s *Sessions) EndedUpstream(upstream, transport string, spoken rpc.Revision, lasted time.Duration) {
	s.client.observe(clientSessionKey{upstream, transport, s.revision(spoken)}, lasted)
}

// revision is the label of a revision.
func (s *Sessions) revision(spoken rpc.Revision) rpc.Revision {
	if !s.known.Revision(spoken) {
		return Other
	}
	return spoken
}

// Samples is the [Source] of what was recorded.
func (s *Sessions) Samples(to *Sink) {
	s.server.samples(to)
	s.client.samples(to)
}

// sessionKey tells the series of mcp.server.session.duration apart.
type sessionKey struct{ version rpc.Revision }

func (k sessionKey) values() []string   { return []string{string(k.version), "tcp", "http"} }
func (k sessionKey) folded() sessionKey { return k }

// clientSessionKey tells the series of mcp.client.session.duration apart.
type clientSessionKey struct {
	upstream, transport string
	version             rpc.Revision
}

func (k clientSessionKey) values() []string {
	carrier, protocol := carriers(k.transport)
	return []string{string(k.version), carrier, protocol, k.upstream}
}
func (k clientSessionKey) folded() clientSessionKey { return k }
