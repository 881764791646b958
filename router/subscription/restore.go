package subscription

import (
	"context"
	"hash/maphash"
	"slices"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state"
)

// What a legacy client has subscribed to outlives the process, as its session does. The
// client is told nothing of a restart, so a later process subscribes for it anew, and
// says of each resource that it has changed: nobody knows what did meanwhile.

// keep makes a subscription that the upstream has agreed to one that lasts, or gives it
// up.
func (r *Registry) keep(ctx context.Context, session, uri string) error {
	err := r.remember(ctx, session, uri)
	if err == nil {
		return nil
	}
	r.mu.Lock()
	var h *hold
	if s := r.sessions[session]; s != nil && s.holds[uri] != nil {
		h = r.release(s, uri)
	}
	r.mu.Unlock()
	if h != nil && h.agreed {
		r.giveUpURIs(h.topic.upstream, []string{h.topic.own})
	}
	return err
}

// remember makes the store agree with what is held. Whichever of several changes comes
// last sees what came of all of them.
func (r *Registry) remember(ctx context.Context, session, uri string) error {
	turn := &r.writing[maphash.String(r.seed, session)%uint64(len(r.writing))]
	turn.Lock()
	defer turn.Unlock()
	r.mu.Lock()
	var held *hold
	if s := r.sessions[session]; s != nil {
		held = s.holds[uri]
	}
	r.mu.Unlock()
	if held == nil {
		return r.Store.Unsubscribed(ctx, session, uri)
	}
	return r.Store.Subscribed(ctx, session, state.ResourceSubscription{URI: uri, Upstream: held.topic.upstream, Own: held.topic.own})
}

// Restore takes up again what the session of a call had subscribed to in an earlier
// process. It does not wait for upstreams.
func (r *Registry) Restore(ctx context.Context, c *rpc.Call, subs []state.ResourceSubscription) {
	session := c.Client.Session
	wanted := map[string]map[string]*hold{}
	for _, sub := range subs {
		if r.upstream(sub.Upstream) == nil || !r.Shows(c, sub.Upstream, sub.Own) {
			r.Log.DebugContext(ctx, "subscription is not possible any more", "upstream", sub.Upstream)
			continue
		}
		h, fresh, err := r.hold(ctx, c, sub.URI, topic{upstream: sub.Upstream, own: sub.Own})
		if err != nil {
			r.Log.DebugContext(ctx, "subscription is not taken up again", "upstream", sub.Upstream, "error", err.Error())
			continue
		}
		if !fresh {
			continue // the client was faster
		}
		if wanted[sub.Upstream] == nil {
			wanted[sub.Upstream] = map[string]*hold{}
		}
		wanted[sub.Upstream][sub.URI] = h
	}
	for upstream, holds := range wanted {
		r.resubscribe(session, upstream, holds)
	}
}

// resubscribe asks an upstream. From now on the holds are given up as if it had agreed.
func (r *Registry) resubscribe(session, upstream string, holds map[string]*hold) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for uri, h := range holds {
		if h.gone {
			delete(holds, uri)
			continue
		}
		h.agreed = true
		h.close()
	}
	if r.upstream(upstream) != nil && len(holds) > 0 {
		r.askAgain(session, upstream, holds)
	}
}

// resubscribed notes what the upstream said. A resource that it does not tell of now is
// asked for again by the next process.
func (r *Registry) resubscribed(session, upstream string, holds map[string]*hold, refused []string) {
	var dropped []string
	r.mu.Lock()
	for uri, h := range holds {
		switch {
		case h.gone:
		case slices.Contains(refused, h.topic.own):
			dropped = append(dropped, h.topic.own)
			r.release(r.sessions[session], uri)
		default:
			r.Post(session, rpc.NewNotification(mcp.ResourceUpdated, append(rpc.AppendString([]byte(`{"uri":`), uri), '}')))
		}
	}
	r.mu.Unlock()
	if len(dropped) > 0 {
		r.giveUpURIs(upstream, dropped)
		r.Log.Info("upstream does not tell any more of resources that were subscribed to", "upstream", upstream, "resources", len(dropped))
	}
}
