package subscription

import (
	"context"
	"errors"

	"github.com/headgate/headgate/rpc"
)

// subscriber is a legacy client's session that has subscribed to resources.
type subscriber struct {
	registry *Registry
	session  string
	who      *rpc.Call        // of which no more is known than who makes it
	holds    map[string]*hold // by the URI that the client knows, guarded by the registry
}

// hold is one subscription of a session.
type hold struct {
	topic  topic
	agreed bool // the upstream has been asked and tells of it
	gone   bool // given up before the upstream agreed

	settled chan struct{} // closed when the upstream has been asked, or it was given up
}

func (h *hold) close() {
	select {
	case <-h.settled:
	default:
		close(h.settled)
	}
}

// who keeps of a call what outlives it: who made it, and where.
func who(c *rpc.Call) *rpc.Call {
	return &rpc.Call{Dialect: c.Dialect, Endpoint: c.Endpoint, Client: c.Client, Principal: c.Principal}
}

// caller implements [recipient].
func (s *subscriber) caller() *rpc.Call { return s.who }

// deliver implements [recipient].
func (s *subscriber) deliver(m *rpc.Message) { s.registry.Post(s.session, m) }

// subscribe serves resources/subscribe (MCP 2025-11-25, Resources, Subscriptions).
func (r *Registry) subscribe(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	uri, ok := c.Message.Text("uri")
	if !ok || len(uri) > maxURI {
		return nil, rpc.Errorf(rpc.InvalidParams, "params.uri must be a string of at most %d bytes", maxURI)
	}
	t := r.Locate(ctx, c, uri)
	up := r.upstream(t.Upstream)
	if up == nil {
		return nil, rpc.Errorf(rpc.InvalidParams, "unknown resource %s", rpc.Excerpt(uri))
	}
	h, fresh, err := r.claim(ctx, c, uri, topic{upstream: t.Upstream, own: t.Own})
	if err != nil {
		return nil, err
	}
	if fresh {
		ctx, cancel := context.WithTimeoutCause(ctx, agreeTimeout, rpc.Errorf(rpc.UpstreamTimeout, "upstream %q did not agree in time", t.Upstream))
		defer cancel()
		_, err = up.Subscribe(ctx, []string{t.Own})
		if !r.settle(c.Client.Session, uri, h, up, err == nil) && err == nil {
			up.Unsubscribe([]string{t.Own})
		}
		if err == nil {
			err = r.keep(ctx, c.Client.Session, uri)
		}
	}
	if refusal, ok := errors.AsType[*rpc.WireError](err); ok {
		return rpc.Respond(rpc.NewError(c.Message.ID, refusal)), nil // the upstream's own words
	}
	if err != nil {
		return nil, err
	}
	return done(c), nil
}

func done(c *rpc.Call) *rpc.Reply { return rpc.Respond(rpc.NewResult(c.Message.ID, []byte("{}"))) }

// claim is hold for who tells the client what came of it: another request of the same client's
// for the same resource is waited for, and what was refused is asked for again.
func (r *Registry) claim(ctx context.Context, c *rpc.Call, uri string, t topic) (h *hold, fresh bool, err error) {
	for {
		if h, fresh, err = r.hold(ctx, c, uri, t); err != nil || fresh {
			return h, fresh, err
		}
		select {
		case <-h.settled:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
		r.mu.Lock()
		agreed := h.agreed && !h.gone
		r.mu.Unlock()
		if agreed {
			return h, false, nil
		}
	}
}

// hold notes a subscription before the upstream is asked, so that the session's end
// finds it, or returns the one that the session has already. A session that has ended has
// cancelled its calls first.
func (r *Registry) hold(ctx context.Context, c *rpc.Call, uri string, t topic) (h *hold, fresh bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return nil, false, context.Cause(ctx)
	}
	session := c.Client.Session
	s := r.sessions[session]
	if s == nil {
		s = &subscriber{registry: r, session: session, who: who(c), holds: map[string]*hold{}}
		r.sessions[session] = s
	}
	if h := s.holds[uri]; h != nil {
		return h, false, nil
	}
	if len(s.holds) >= maxURIs {
		return nil, false, rpc.Errorf(rpc.Busy, "the session has subscribed to %d resources already", maxURIs)
	}
	h = &hold{topic: t, settled: make(chan struct{})}
	s.holds[uri] = h
	r.join(t, s, uri)
	return h, true, nil
}

// settle notes what the upstream said; false if the subscription is not held any more.
func (r *Registry) settle(session, uri string, h *hold, up Upstream, agreed bool) (held bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.gone {
		return false
	}
	h.agreed = agreed
	h.close()
	if !agreed {
		r.release(r.sessions[session], uri)
	} else if now := r.upstream(h.topic.upstream); now != nil && now != up { // which took the place of the one that agreed
		r.askAgain(session, h.topic.upstream, map[string]*hold{uri: h})
	}
	return agreed
}

// release forgets a subscription and returns it. The lock is held.
func (r *Registry) release(s *subscriber, uri string) *hold {
	h := s.holds[uri]
	delete(s.holds, uri)
	if len(s.holds) == 0 {
		delete(r.sessions, s.session)
	}
	r.leave(h.topic, s, uri)
	h.gone = true
	h.close()
	return h
}

// unsubscribe serves resources/unsubscribe. What is not subscribed to is not an error:
// the outcome is what the client wants.
func (r *Registry) unsubscribe(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	uri, ok := c.Message.Text("uri")
	if !ok {
		return nil, rpc.Errorf(rpc.InvalidParams, "params.uri must be a string")
	}
	r.mu.Lock()
	var h *hold
	if s := r.sessions[c.Client.Session]; s != nil && s.holds[uri] != nil {
		h = r.release(s, uri)
	}
	r.mu.Unlock()
	if h == nil {
		return done(c), nil
	}
	if h.agreed {
		r.giveUpURIs(h.topic.upstream, []string{h.topic.own})
	}
	if err := r.remember(ctx, c.Client.Session, uri); err != nil {
		return nil, err
	}
	return done(c), nil
}

// EndSession gives up what a session has subscribed to. Its calls must have been
// cancelled before.
func (r *Registry) EndSession(session string) {
	r.mu.Lock()
	agreed := map[string][]string{}
	if s := r.sessions[session]; s != nil {
		for uri := range s.holds {
			if h := r.release(s, uri); h.agreed {
				agreed[h.topic.upstream] = append(agreed[h.topic.upstream], h.topic.own)
			}
		}
	}
	r.mu.Unlock()
	for upstream, uris := range agreed {
		r.giveUpURIs(upstream, uris)
	}
}
