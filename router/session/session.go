package session

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// Session is the live state of one legacy client's session. All methods may be
// called concurrently.
type Session struct {
	registry *Registry
	client   rpc.Client
	endpoint string
	owner    owner
	created  time.Time
	idle     time.Duration          // as the client wants it; 0 if it did not say
	unknown  lists                  // those that the client was not offered
	level    atomic.Pointer[string] // of log messages; nil before the client set one
	used     atomic.Int64           // time of last use, in nanoseconds since 1970
	noted    atomic.Int64           // the last use that the store was told of
	past     past
	opener   atomic.Pointer[rpc.Principal] // nil before anybody has used it in this process

	mu        sync.Mutex
	ended     bool
	flights   map[string]*Flight   // by the key of the client's id
	questions map[string]*question // by the gateway's id
	asked     uint64               // id of the last question
	streams   []*stream            // open GET streams, the newest last
	pending   []*rpc.Message       // notifications that no stream has taken yet
	tracks    []*Track             // event streams that can be resumed, the newest last
	tracked   uint64               // number of the last track
}

func newSession(r *Registry, key, endpoint string, t *ticket, known *state.Session, now time.Time) *Session {
	s := &Session{
		registry: r, client: t.client, endpoint: endpoint, owner: t.owner, created: t.created, unknown: t.unknown,
		// A client may still show a question that an earlier process asked in this
		// session, or come back to a stream of that one. Neither must fit a new one, so
		// numbers go on from the clock.
		asked: uint64(now.UnixMilli()), tracked: uint64(now.UnixMilli()),
	}
	s.client.Era, s.client.Session = rpc.Legacy, key
	if known.Level != "" {
		s.level.Store(&known.Level)
	}
	if f := r.cfg().IdleOf; f != nil {
		s.idle = f(&s.client)
	}
	s.past.take(known.Subscriptions)
	s.use(now)
	return s
}

// Client returns what the session's client said of itself in initialize. Session is
// the session's key, which means nothing outside the gateway; LogLevel is what was
// last set.
func (s *Session) Client() rpc.Client {
	c := s.client
	if level := s.level.Load(); level != nil {
		c.LogLevel = *level
	}
	return c
}

func (s *Session) use(now time.Time) { s.used.Store(now.UnixNano()) }

// busy reports whether the session holds a call or a stream.
func (s *Session) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flights) > 0 || len(s.streams) > 0
}

// lapsed returns why the session is past its time, or nil.
func (s *Session) lapsed(now time.Time) error {
	cfg := s.registry.cfg()
	switch {
	case now.Sub(s.created) > cfg.Max:
		return rpc.Errorf(rpc.SessionUnknown, "the session ended because it is %v old", cfg.Max)
	case now.Sub(time.Unix(0, s.used.Load())) > s.idleTime(cfg) && !s.busy():
		return rpc.Errorf(rpc.SessionUnknown, "the session ended because it was not used for %v", s.idleTime(cfg))
	}
	return nil
}

// idleTime is how long the session lasts when it is not used.
func (s *Session) idleTime(cfg *Config) time.Duration {
	if s.idle > 0 {
		return min(s.idle, cfg.Idle)
	}
	return cfg.Idle
}

// Expires returns when a live session ends if it is not used any more; false if there is none of that key.
func (r *Registry) Expires(key string) (time.Time, bool) {
	s, ok := r.shard(key).find(key)
	if !ok {
		return time.Time{}, false
	}
	cfg := r.cfg()
	idle, full := time.Unix(0, s.used.Load()).Add(s.idleTime(cfg)), s.created.Add(cfg.Max)
	if full.Before(idle) {
		return full, true
	}
	return idle, true
}

// shut cancels everything the session holds.
func (s *Session) shut(cause error) {
	s.mu.Lock()
	s.ended = true
	s.forgetTracks()
	s.pending = nil
	s.mu.Unlock()
	s.endStreams()
	s.cancelAll(cause)
}

func (s *Session) cancelAll(cause error) {
	for _, cancel := range s.cancels() {
		cancel(cause)
	}
}

func (s *Session) cancels() []context.CancelCauseFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]context.CancelCauseFunc, 0, len(s.flights))
	for _, f := range s.flights {
		out = append(out, f.cancel)
	}
	return out
}
