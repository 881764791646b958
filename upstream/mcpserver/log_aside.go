package mcpserver

import (
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Bounds of log messages outside of calls, each of which may go to many clients.
const (
	maxLogSize = 64 << 10 // bytes of one
	maxLogs    = 100      // in a second
)

// Log is a log message that an upstream sent outside of all calls (MCP 2025-11-25, Logging). Modern servers have none.
type Log struct {
	Session string       // the key of the client session whose own connection it came on; empty if clients share that
	Usual   string       // the least severe level for clients that set none; empty if they are shown everything
	Message *rpc.Message // the receiver's to keep
}

// Named returns the message as clients see it to whom other upstreams log too.
func (l Log) Named(upstream string) *rpc.Message {
	m := l.Message.Fork()
	nameLogger(m, upstream)
	return m.Clone()
}

// OnLog sets who is told of log messages outside of calls. It is set before the first call. f must not block.
func (s *Server) OnLog(f func(Log)) { s.logged.Store(&f) }

// logAside passes on a log message that belongs to no call. Modern clients get none (MCP 2026-07-28, Logging), so that
// what comes on a connection of theirs is dropped.
func (s *Server) logAside(l link, m *rpc.Message) {
	f, h := s.logged.Load(), l.hop()
	if f == nil || h.era == rpc.Modern || m.Size() > maxLogSize {
		return
	}
	k, open := s.links.keyOf(l)
	if !open || k.owner != "" || !s.asides.take(time.Now()) {
		return
	}
	out := Log{Session: k.session, Message: m.Clone()}
	if h.level.Load() > 0 {
		out.Usual = usualLevel
	}
	(*f)(out)
}

// quota lets so many events happen in a second. The zero value is ready.
type quota struct {
	mu    sync.Mutex
	since time.Time
	count int
}

// take reports whether one more may happen.
func (q *quota) take(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Sub(q.since) >= time.Second {
		q.since, q.count = now, 0
	}
	q.count++
	return q.count <= maxLogs
}
