package fake

import (
	"context"
	"strconv"
	"sync"
)

// broadcast is a notification that no request asked for.
type broadcast struct {
	method string
	params []byte
	plain  []byte // the whole message, made once for all legacy streams
}

// stream is a client's ear for broadcasts.
type stream struct {
	wants  func(method string, params []byte) bool
	events chan broadcast
	ended  chan struct{}
}

// streams are the ears that are open, by session and, for subscriptions, by a number.
type streams struct {
	mu      sync.Mutex
	byKey   map[string]*stream
	listens int
	closed  chan struct{}
	once    sync.Once
}

// backlog is how many broadcasts wait for a client that does not read; more are lost.
const backlog = 64

// Notify sends a notification to everyone who listens: every legacy session with an open GET stream or stdio connection,
// and modern subscriptions that asked for it. params are exact bytes; nil sends none.
func (s *Server) Notify(method string, params []byte) {
	n := broadcast{method: method, params: params, plain: notification(method, params)}
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	for _, st := range s.streams.byKey {
		if st.wants != nil && !st.wants(method, params) {
			continue
		}
		select {
		case st.events <- n:
		default:
		}
	}
}

// open opens a stream for everything. An older one of the same key stays open but hears nothing more: each message goes
// on exactly one stream of a session (MCP 2025-11-25, Multiple Connections).
func (t *streams) open(key string) *stream { return t.add(key, nil) }

// openListen opens a stream for the notifications that wants accepts, under a key of its own.
func (t *streams) openListen(wants func(method string, params []byte) bool) (string, *stream) {
	t.mu.Lock()
	t.listens++
	key := "listen " + strconv.Itoa(t.listens)
	t.mu.Unlock()
	return key, t.add(key, wants)
}

func (t *streams) add(key string, wants func(method string, params []byte) bool) *stream {
	st := &stream{wants: wants, events: make(chan broadcast, backlog), ended: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey == nil {
		t.byKey = map[string]*stream{}
	}
	t.byKey[key] = st
	return st
}

// leave forgets a stream whose client has gone.
func (t *streams) leave(key string, st *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[key] == st {
		delete(t.byKey, key)
	}
}

// end ends the stream of a session that has ended.
func (t *streams) end(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if st := t.byKey[key]; st != nil {
		close(st.ended)
		delete(t.byKey, key)
	}
}

// pump sends what the stream hears until ctx ends, send fails (both are errors), or the stream or the server has ended;
// what was heard before such an end is still sent.
func (t *streams) pump(ctx context.Context, st *stream, send func(broadcast) error) error {
	for {
		select {
		case n := <-st.events:
			if err := send(n); err != nil {
				return err
			}
		case <-st.ended:
			return drain(st, send)
		case <-t.closed:
			return drain(st, send)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drain sends what waits.
func drain(st *stream, send func(broadcast) error) error {
	for {
		select {
		case n := <-st.events:
			if err := send(n); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func (t *streams) close() { t.once.Do(func() { close(t.closed) }) }

func (t *streams) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byKey)
}
