package policy

import (
	"context"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// fetch makes a call whose answer may be kept. Of equal calls at the same time one is
// made; the others wait for its answer and make their own if that may not be kept. Mark is
// when the caller was not yet answered.
func (c *Cache) fetch(ctx context.Context, call *rpc.Call, k cacheKeys, mark state.CacheMark, next rpc.Handler) (*rpc.Reply, error) {
	f, first := c.flights.join(k.own)
	for !first {
		select {
		case <-f.landed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		switch {
		case f.result != nil && f.mark != mark: // something changed before this call came: was it what it asks for?
			if hit, _ := c.look(ctx, k); hit != nil && hit.Fresh > 0 {
				return c.respondWith(call, hit), nil
			}
			return next.Handle(ctx, call)
		case f.result != nil:
			return c.respondWith(call, &state.Cached{Value: f.result}), nil
		case !f.abandoned:
			return next.Handle(ctx, call)
		}
		f, first = c.flights.join(k.own) // whoever made the call went away: one of those who wait makes it now
	}
	hit, mark := c.look(ctx, k)
	if hit != nil && hit.Fresh > 0 { // it came while this call was on its way here
		c.flights.land(k.own, f, landing{result: hit.Value, mark: mark})
		return c.respondWith(call, hit), nil
	}
	reply, err := next.Handle(ctx, call)
	if err != nil {
		c.flights.land(k.own, f, landing{abandoned: ctx.Err() != nil})
		return nil, err
	}
	out := rpc.NewReply(&fetched{Reply: reply, cache: c, ctx: context.WithoutCancel(ctx), call: call, keys: k, mark: mark, flight: f})
	out.Header, out.Revision = reply.Header, reply.Revision
	return out, nil
}

// fetched is a reply whose response is kept as it goes by.
type fetched struct {
	*rpc.Reply
	cache  *Cache
	ctx    context.Context //nolint:containedctx // of the call, without its end: what was answered stays true
	call   *rpc.Call
	keys   cacheKeys
	mark   state.CacheMark
	flight *flight
	tags   [2]string // room for those of the answer
	asked  bool      // the answer depends on what the user was asked
	parts  gathered  // of the answer of a model
}

// Next implements [rpc.Source].
func (f *fetched) Next() (*rpc.Message, error) {
	m, err := f.Reply.Next()
	switch {
	case err != nil: // who waits makes the call, and gets to know what is wrong
		f.land(landing{})
	case m.IsRequest():
		f.asked = true
		f.land(landing{})
	case m.IsResponse() && !f.asked:
		f.land(landing{result: f.cache.keep(f, m), mark: f.mark})
	case f.call.Target.Kind == rpc.Model:
		f.parts.add(m.Method, m.Params)
	}
	return m, err
}

// Close implements [rpc.Source].
func (f *fetched) Close() error {
	f.land(landing{abandoned: true})
	return f.Reply.Close()
}

func (f *fetched) land(l landing) { f.cache.flights.land(f.keys.own, f.flight, l) }

// keep puts a response into the store if it may be kept, and returns the result, or nil.
func (c *Cache) keep(f *fetched, m *rpc.Message) []byte {
	life := c.lifetimeOf(f.call, m, f.Reply.Revision)
	if life.TTL <= 0 || !lasting(m) || stoodIn(f.call) {
		return nil
	}
	result := m.AppendResult(make([]byte, 0, m.Size()))
	if f.call.Target.Kind == rpc.Model {
		f.parts.add("", result)
		if result = f.parts.text; f.parts.over || !finished(m) {
			return nil
		}
	}
	key, tags := f.keys.own, append(f.tags[:0], f.call.Target.Upstream)
	if f.call.Target.Kind == rpc.Resource {
		tags = append(tags, resourceTag(f.call.Target.Upstream, f.call.Target.Own))
	}
	if life.Public && f.keys.shared {
		key = f.keys.public
	}
	entry := state.CacheEntry{Value: result, TTL: life.TTL, Tags: tags}
	if f.call.Target.Kind == rpc.Tool {
		entry.Stale = c.tools.Stale
	}
	if err := c.store.Put(f.ctx, key, entry, f.mark); err != nil {
		c.log.DebugContext(f.ctx, "an answer is not cached", "error", err)
	}
	return result
}

// stoodIn reports whether another upstream may have answered than the one that the key of a call
// names: one that a routing rule has stand in for it.
func stoodIn(c *rpc.Call) bool {
	return c.Route != nil && len(c.Route.Fallback) > 0 && c.Record.Asked() != c.Target.Upstream
}

// lasting reports whether a response is an answer to keep: a result, complete, and no
// failure of a tool.
func lasting(m *rpc.Message) bool {
	if m.Err != nil || m.CheckBody() != nil {
		return false
	}
	if kind, ok := m.Get("resultType"); ok && string(kind) != `"complete"` {
		return false
	}
	failed, ok := m.Get("isError")
	return !ok || string(failed) == "false"
}

// lifetimeOf says how long an answer may be kept: a tool's as the operator says, a
// resource's as its server does.
func (c *Cache) lifetimeOf(call *rpc.Call, m *rpc.Message, spoken rpc.Revision) rpc.Lifetime {
	switch call.Target.Kind {
	case rpc.Tool:
		return rpc.Lifetime{TTL: c.tools.TTL}
	case rpc.Model:
		return rpc.Lifetime{TTL: c.models.TTL}
	}
	life := c.lifetime(m, spoken)
	if call.Record != nil && call.Record.Lifetime != nil {
		life = call.Record.Lifetime
	}
	if !life.Said {
		return rpc.Lifetime{TTL: c.unsaid}
	}
	return *life
}
