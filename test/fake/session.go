package fake

import (
	"context"
	"crypto/rand"
	"sync"
)

// sessions are the legacy sessions that are open.
type sessions struct {
	mu   sync.RWMutex
	open map[string]struct{}
}

// begin returns the id of a new session.
func (t *sessions) begin() string {
	id := rand.Text()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = map[string]struct{}{}
	}
	t.open[id] = struct{}{}
	return id
}

func (t *sessions) end(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, id)
}

func (t *sessions) known(id string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, ok := t.open[id]
	return ok
}

func (t *sessions) count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.open)
}

// inflight are the legacy requests that a notification may cancel, by session and id.
type inflight struct {
	mu      sync.Mutex
	cancels map[[2]string]context.CancelFunc
}

// start returns the context of a request and a function that the caller calls when it is answered.
func (t *inflight) start(parent context.Context, session string, id []byte) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	key := [2]string{session, string(id)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cancels == nil {
		t.cancels = map[[2]string]context.CancelFunc{}
	}
	t.cancels[key] = cancel
	return ctx, func() {
		t.mu.Lock()
		delete(t.cancels, key)
		t.mu.Unlock()
		cancel()
	}
}

// cancel cancels a request; one that is answered or was never there is nothing to worry about (MCP, Cancellation).
func (t *inflight) cancel(session string, id []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if cancel := t.cancels[[2]string{session, string(id)}]; cancel != nil {
		cancel()
	}
}
