package session

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state"
)

// maxStreams bounds the open GET streams of one session. Beyond it the oldest ends:
// it is the one most likely to be a connection that broke unnoticed.
const maxStreams = 4

// stream is one GET stream: a source of the session's own notifications that ends
// with the session. Each message goes on exactly one stream, the newest.
type stream struct {
	session *Session
	ctx     context.Context // the call's, which a source is not told otherwise
	wake    chan struct{}
	ended   bool // guarded by the session
}

var _ rpc.Source = (*stream)(nil)

// openStreams is how many streams of the session stand open.
func (s *Session) openStreams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}

// open starts a GET stream.
func (s *Session) open(ctx context.Context) (*rpc.Reply, error) {
	st := &stream{session: s, ctx: ctx, wake: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return nil, errUnknown()
	case s.registry.closing.Load():
		return nil, rpc.Errorf(rpc.Draining, "the gateway is shutting down")
	}
	s.streams = append(s.streams, st)
	if len(s.streams) > maxStreams {
		s.streams[0].end()
		s.streams = slices.Delete(s.streams, 0, 1)
	}
	return rpc.NewReply(st), nil
}

// Next waits for a notification. It returns io.EOF when the stream or the session
// ends.
func (st *stream) Next() (*rpc.Message, error) {
	for {
		if m, err := st.take(); m != nil || err != nil {
			return m, err
		}
		select {
		case <-st.wake:
		case <-st.ctx.Done():
			return nil, context.Cause(st.ctx)
		}
	}
}

func (st *stream) take() (*rpc.Message, error) {
	s := st.session
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case st.ended:
		return nil, io.EOF
	case len(s.pending) == 0 || s.streams[len(s.streams)-1] != st:
		return nil, nil
	}
	m := s.pending[0]
	s.pending = slices.Delete(s.pending, 0, 1)
	return m, nil
}

// Answer refuses: nothing is asked on a GET stream.
func (*stream) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }

// Close ends the stream. What it did not take goes to the next newest.
func (st *stream) Close() error {
	s := st.session
	s.use(time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	st.end()
	s.streams = slices.DeleteFunc(s.streams, func(other *stream) bool { return other == st })
	s.wakeNewest()
	return nil
}

// end makes Next return; the session's lock is held.
func (st *stream) end() {
	st.ended = true
	st.stir()
}

// stir wakes Next, which looks what there is.
func (st *stream) stir() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

func (s *Session) wakeNewest() {
	if n := len(s.streams); n > 0 && len(s.pending) > 0 {
		s.streams[n-1].stir()
	}
}

func (s *Session) endStreams() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		st.end()
	}
}

// Bounds of what waits for a session's stream beside [Config].Queue. Each resource that a
// client has subscribed to may have changed by the time it opens its stream again.
const (
	maxUpdates      = state.MaxSubscriptions // notifications that resources have changed
	maxPendingBytes = 1 << 20                // of all that waits, if it is more than one
)

// post queues a notification for the session's stream. One that waits already in the
// same words is not queued again, and none is queued beyond the limits.
func (s *Session) post(m *rpc.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	size := len(m.Params)
	for _, p := range s.pending {
		if p.Method == m.Method && bytes.Equal(p.Params, m.Params) {
			return
		}
		size += len(p.Params)
	}
	limit := s.registry.cfg().Queue
	if m.Method == mcp.ResourceUpdated {
		limit += maxUpdates
	}
	if len(s.pending) >= limit || len(s.pending) > 0 && size > maxPendingBytes {
		s.registry.log.Debug("notification dropped: queue is full", slog.String("method", m.Method))
		return
	}
	s.pending = append(s.pending, m)
	s.wakeNewest()
}

// Broadcast queues a notification for every live session whose endpoint matches, but not
// of a list that the client was not offered. It
// keeps a copy of m, which all sessions share, and does not wait for any of them.
func (r *Registry) Broadcast(match func(endpoint string) bool, m *rpc.Message) {
	shared := m.Clone()
	for i := range r.shards {
		for _, s := range r.shards[i].sessions() {
			if match(s.endpoint) && !s.unknown.changeIn(m.Method) {
				s.post(shared)
			}
		}
	}
}

// Post queues a notification for one session, if it is live, and keeps a copy of m.
func (r *Registry) Post(key string, m *rpc.Message) {
	if s, ok := r.shard(key).find(key); ok {
		s.post(m.Clone())
	}
}
