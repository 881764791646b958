package subscription

import (
	"context"
	"slices"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Replace makes other upstreams those that are asked, by their names. What is wanted of one that came, or took the place
// of another one, is asked of it anew, and counts as changed. What is wanted of one that went is asked of the next one
// of its name, if there ever is one. The map must not be changed any more.
func (r *Registry) Replace(upstreams map[string]Upstream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := *r.upstreams.Load()
	r.upstreams.Store(&upstreams)
	if r.closed {
		return
	}
	anew := func(t topic) bool { return upstreams[t.upstream] != nil && upstreams[t.upstream] != old[t.upstream] }
	for _, s := range r.sessions {
		holds := map[string]map[string]*hold{}
		for uri, h := range s.holds {
			if !h.agreed || !anew(h.topic) {
				continue // who is being asked still is asked again by settle
			}
			if holds[h.topic.upstream] == nil {
				holds[h.topic.upstream] = map[string]*hold{}
			}
			holds[h.topic.upstream][uri] = h
		}
		for upstream, those := range holds {
			r.askAgain(s.session, upstream, those)
		}
	}
	for l := range r.listens {
		wanted := slices.DeleteFunc(slices.Clone(l.held), func(w want) bool { return !anew(w.topic) })
		for at, those := range byPlace(wanted) {
			r.listenAgain(l, at, those)
		}
	}
}

// upstream returns who is asked now; nil if nobody has the name.
func (r *Registry) upstream(name string) Upstream { return (*r.upstreams.Load())[name] }

// giveUpURIs gives up what an upstream agreed to, if it is still there.
func (r *Registry) giveUpURIs(upstream string, uris []string) {
	if up := r.upstream(upstream); up != nil {
		up.Unsubscribe(uris)
	}
}

// askAgain asks an upstream for what a session holds there. The lock is held.
func (r *Registry) askAgain(session, upstream string, holds map[string]*hold) {
	uris := make([]string, 0, len(holds))
	for _, h := range holds {
		uris = append(uris, h.topic.own)
	}
	r.upstream(upstream).Resubscribe(uris, func(refused []string) { r.resubscribed(session, upstream, holds, refused) })
}

// listenAgain asks an upstream for what a stream holds there. The lock is held.
func (r *Registry) listenAgain(l *listen, at place, wanted []want) {
	up := r.upstream(at.upstream)
	if !at.task {
		up.Resubscribe(owns(wanted), func(refused []string) { r.listenedAgain(l, at.upstream, wanted, refused) })
		return
	}
	// Until it has agreed, the stream has nothing to give up there.
	l.held = slices.DeleteFunc(l.held, func(w want) bool { return slices.Contains(wanted, w) })
	go func() {
		ctx, cancel := context.WithTimeout(l.ctx, agreeTimeout)
		defer cancel()
		agreed, err := up.Follow(ctx, owns(wanted))
		if err != nil {
			r.Log.DebugContext(ctx, "upstream does not tell of tasks any more", "upstream", at.upstream, "error", err.Error())
		}
		r.followedAgain(l, up, wanted, agreed)
	}()
}

// listenedAgain notes what an upstream said of resources.
func (r *Registry) listenedAgain(l *listen, upstream string, wanted []want, refused []string) {
	var dropped []string
	r.mu.Lock()
	for _, w := range wanted {
		switch i := slices.Index(l.held, w); {
		case i < 0:
		case slices.Contains(refused, w.own):
			l.held = slices.Delete(l.held, i, i+1)
			r.leave(w.topic, l, w.exposed)
			dropped = append(dropped, w.own)
		default:
			l.deliver(rpc.NewNotification(mcp.ResourceUpdated, append(rpc.AppendString([]byte(`{"uri":`), w.exposed), '}')))
		}
	}
	r.mu.Unlock()
	if len(dropped) > 0 {
		r.giveUpURIs(upstream, dropped)
	}
}

// followedAgain notes what an upstream said of tasks.
func (r *Registry) followedAgain(l *listen, up Upstream, wanted []want, agreed []string) {
	r.mu.Lock()
	_, open := r.listens[l]
	for _, w := range wanted {
		if open && slices.Contains(agreed, w.own) {
			l.held = append(l.held, w)
		} else {
			r.leave(w.topic, l, w.exposed)
		}
	}
	r.mu.Unlock()
	if !open && len(agreed) > 0 {
		up.Unfollow(agreed)
	}
}
