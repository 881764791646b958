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
	id       rpc.ID
	endpoint string
	owner    string
	filter   *filter
	expires  *time.Timer
	wake     chan struct{}

	held map[string][]string // what each upstream tells of, guarded by the registry

	mu      sync.Mutex
	waiting []*rpc.Message
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
	l := &listen{
		registry: r, ctx: ctx, id: c.Message.ID, endpoint: c.Endpoint, owner: ownerOf(c.Principal), filter: f,
		wake: make(chan struct{}, 1), held: map[string][]string{},
	}
	if err := r.open(l); err != nil {
		return nil, err
	}
	refused := r.agree(ctx, c, l)
	if ctx.Err() != nil {
		_ = l.Close()
		return nil, context.Cause(ctx)
	}
	l.acknowledge(f.acknowledgement(refused))
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
	return p.Org + "\x00" + p.Team + "\x00" + p.Key + "\x00" + p.User
}

// agree asks the upstreams, all at the same time, and returns the URIs that none will
// tell of.
func (r *Registry) agree(ctx context.Context, c *rpc.Call, l *listen) (refused map[string]bool) {
	ctx, cancel := context.WithTimeout(ctx, agreeTimeout)
	defer cancel()
	refused = map[string]bool{}
	exposed := map[topic]string{}
	wanted := map[string][]string{}
	for _, uri := range l.filter.uris {
		t := r.Locate(ctx, c, uri)
		where := topic{t.Upstream, t.Own}
		if _, twice := exposed[where]; twice || r.Upstreams[t.Upstream] == nil {
			refused[uri] = true
			continue
		}
		exposed[where] = uri
		wanted[t.Upstream] = append(wanted[t.Upstream], t.Own)
	}
	r.mu.Lock()
	for where, uri := range exposed {
		r.join(where, l, uri)
	}
	r.mu.Unlock()

	var all sync.WaitGroup
	for upstream, uris := range wanted {
		all.Go(func() {
			agreed, err := r.Upstreams[upstream].Subscribe(ctx, uris)
			if err != nil {
				r.Log.DebugContext(ctx, "upstream does not tell of resources", "upstream", upstream, "error", err.Error())
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			l.held[upstream] = agreed
			for _, own := range uris {
				if where := (topic{upstream, own}); !slices.Contains(agreed, own) {
					refused[exposed[where]] = true
					r.leave(where, l)
				}
			}
		})
	}
	all.Wait()
	return refused
}

// acknowledge puts the acknowledgement before all that waits.
func (l *listen) acknowledge(m *rpc.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = slices.Insert(l.waiting, 0, l.tagged(m))
}

// deliver queues a notification. One that waits already is not queued again. A client
// that leaves too many unread is sent away: when it comes back it knows that
// everything may have changed.
func (l *listen) deliver(m *rpc.Message) {
	m = l.tagged(m)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || slices.ContainsFunc(l.waiting, func(w *rpc.Message) bool {
		return w.Method == m.Method && bytes.Equal(w.Params, m.Params)
	}) {
		return
	}
	if len(l.waiting) >= maxWaiting {
		l.ended = true
	} else {
		l.waiting = append(l.waiting, m)
	}
	l.stir()
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
			return m, err
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
		return m, nil
	case l.ended:
		l.over = true
		return l.result(), nil
	}
	return nil, nil
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
	for upstream, uris := range l.held {
		for _, own := range uris {
			r.leave(topic{upstream, own}, l)
		}
	}
	r.mu.Unlock()
	for upstream, uris := range l.held {
		r.Upstreams[upstream].Unsubscribe(uris)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended, l.over, l.waiting = true, true, nil
	l.stir()
	return nil
}
