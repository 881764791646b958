package session

import (
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Log is a log message of a server that belongs to no call.
type Log struct {
	Session string // the key of the one session it is for; empty for all
	Level   string
	Usual   string                             // the level for sessions that set none; empty if they are shown everything
	At      func(endpoint string) *rpc.Message // as clients of an endpoint see it, which they share; nil if they do not
}

// Log passes a log message on to the sessions that want it (MCP 2025-11-25, Logging) and have a stream open. It does
// not wait for any of them.
func (r *Registry) Log(l Log) {
	if l.Session != "" {
		if s, ok := r.shard(l.Session).find(l.Session); ok {
			s.log(l)
		}
		return
	}
	for i := range r.shards {
		for _, s := range r.shards[i].sessions() {
			s.log(l)
		}
	}
}

// log queues a log message, unless the client is behind: news of what changed must still find room.
func (s *Session) log(l Log) {
	least := l.Usual
	if level := s.level.Load(); level != nil {
		least = *level
	}
	if severity := mcp.Severity(l.Level); severity > 0 && severity < mcp.Severity(least) {
		return
	}
	m := l.At(s.endpoint)
	if m == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || len(s.streams) == 0 || len(s.pending) >= s.registry.cfg().Queue/2 {
		return
	}
	s.pending = append(s.pending, m)
	s.wakeNewest()
}
