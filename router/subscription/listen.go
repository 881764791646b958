package subscription

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// listen is a modern client's stream of what changes: the source of the reply to
// subscriptions/listen. What happens before the acknowledgement waits for it.
type listen struct {
	registry *Registry
	ctx      context.Context //nolint:containedctx // the call's, which governs the reply
	call     *rpc.Call
	id       rpc.ID
	endpoint string
	owner    string
	filter   *filter
	expires  *time.Timer
	wake     chan struct{}

	held []want // what upstreams tell of, guarded by the registry

	mu      sync.Mutex
	waiting []*rpc.Message
	size    int  // of what waits, in bytes
	ended   bool // the result is to be sent when nothing waits
	over    bool // it was sent
}

var _ rpc.Source = (*listen)(nil)

// listen opens a stream. The reply is ready when the upstreams have agreed or had
// their time to.
func (r *Registry) listen(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	f, err := readFilter(c.Message)
	if err != nil {
		return nil, err
	}
	if f.tasks != nil && !mcp.Declares(c.Client.Capabilities, mcp.TasksExtension) {
		return rpc.Respond(undeclared(c)), nil
	}
	l := &listen{
		registry: r, ctx: ctx, call: c, id: c.Message.ID, endpoint: c.Endpoint, owner: ownerOf(c.Principal), filter: f,
		wake: make(chan struct{}, 1),
	}
	if err := r.open(l); err != nil {
		return nil, err
	}
	agreed := r.agree(ctx, c, l)
	if ctx.Err() != nil {
		_ = l.Close()
		return nil, context.Cause(ctx)
	}
	l.acknowledge(f.acknowledgement(agreed))
	if until := c.Principal.Expires; !until.IsZero() {
		l.expires = time.AfterFunc(time.Until(until), l.end) // the client comes back with a credential that is good
	}
	return rpc.NewReply(l), nil
}

// open makes the stream known, so that nothing is missed from now on.
func (r *Registry) open(l *listen) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return rpc.Errorf(rpc.Draining, "the gateway is shutting down")
	}
	own := 0
	for other := range r.listens {
		if other.owner == l.owner {
			own++
		}
	}
	if own >= maxListens && l.owner != "" {
		return rpc.Errorf(rpc.Busy, "%d streams are open already", maxListens)
	}
	r.listens[l] = struct{}{}
	return nil
}

// ownerOf names a principal; empty for nobody in particular.
func ownerOf(p rpc.Principal) string {
	if p.Org+p.Team+p.Key+p.User == "" {
		return ""
	}
	return string(p.AppendIdentity(nil))
}

// caller implements [recipient].
func (l *listen) caller() *rpc.Call { return l.call }

// acknowledge puts the acknowledgement before all that waits.
func (l *listen) acknowledge(m *rpc.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m = l.tagged(m)
	l.waiting = slices.Insert(l.waiting, 0, m)
	l.size += m.Size()
}

// deliver queues a notification. One that waits already is not queued again, and of what is
// said of one task the last says all. A client that leaves too much unread is sent
// away: when it comes back it knows that everything may have changed.
func (l *listen) deliver(m *rpc.Message) {
	m = l.tagged(m)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.outdated(m) {
		return
	}
	if len(l.waiting) >= maxWaiting || len(l.waiting) > 0 && l.size+m.Size() > maxWaitingBytes {
		l.ended = true
	} else {
		l.waiting = append(l.waiting, m)
		l.size += m.Size()
	}
	l.stir()
}

// outdated reports whether what waits says already what a notification says, and drops what
// that says better. The lock is held.
func (l *listen) outdated(m *rpc.Message) bool {
	if m.Method != mcp.TaskChanged {
		return slices.ContainsFunc(l.waiting, func(w *rpc.Message) bool {
			return w.Method == m.Method && bytes.Equal(w.Params, m.Params)
		})
	}
	id, _ := m.Text("taskId")
	l.waiting = slices.DeleteFunc(l.waiting, func(w *rpc.Message) bool {
		if w.Method != mcp.TaskChanged {
			return false
		}
		older, _ := w.Text("taskId")
		if older == id {
			l.size -= w.Size()
		}
		return older == id
	})
	return false
}

// tagged returns the message with the id of the stream (MCP 2026-07-28,
// Subscriptions).
func (l *listen) tagged(m *rpc.Message) *rpc.Message {
	out := m.Fork()
	out.SetMeta(mcp.MetaSubscription, []byte(l.id.Raw()))
	return out.Clone()
}

// end lets the stream end with its result.
func (l *listen) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.stir()
}

func (l *listen) stir() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Next implements [rpc.Source].
func (l *listen) Next() (*rpc.Message, error) {
	for {
		if m, err := l.take(); m != nil || err != nil {
			return l.exposed(m), err
		}
		select {
		case <-l.wake:
		case <-l.ctx.Done():
			return nil, context.Cause(l.ctx)
		}
	}
}

func (l *listen) take() (*rpc.Message, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over:
		return nil, io.EOF
	case len(l.waiting) > 0:
		m := l.waiting[0]
		l.waiting = slices.Delete(l.waiting, 0, 1)
		l.size -= m.Size()
		return m, nil
	case l.ended:
		l.over = true
		return l.result(), nil
	}
	return nil, nil
}

// exposed gives what is said of a task the form that the client can use, which may take
// a while.
func (l *listen) exposed(m *rpc.Message) *rpc.Message {
	if m == nil || m.Method != mcp.TaskChanged {
		return m
	}
	id, _ := m.Text("taskId")
	target := l.registry.Task(l.call, id)
	if target == nil {
		return m
	}
	return l.registry.Expose(l.ctx, l.call, target.Upstream, m)
}

// result ends a stream as it should.
func (l *listen) result() *rpc.Message {
	m := rpc.NewResult(l.id, []byte(`{"resultType":"complete"}`))
	m.SetMeta(mcp.MetaSubscription, []byte(l.id.Raw()))
	return m
}

// Answer refuses: nothing is asked here.
func (*listen) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }

// Close gives up the stream and what upstreams were asked for it.
func (l *listen) Close() error {
	if l.expires != nil {
		l.expires.Stop()
	}
	r := l.registry
	r.mu.Lock()
	delete(r.listens, l)
	held := l.held
	l.held = nil
	for _, w := range held {
		r.leave(w.topic, l, w.exposed)
	}
	r.mu.Unlock()
	r.giveUp(held)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended, l.over, l.waiting = true, true, nil
	l.stir()
	return nil
}
