package policy

import (
	"context"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// reviveTime bounds a call that is made to have a new answer and that nobody waits for.
const reviveTime = time.Minute

// fetch makes a call whose answer may be kept. Of equal calls at the same time one is
// made; the others wait for its answer and make their own if that may not be kept.
func (c *Cache) fetch(ctx context.Context, call *rpc.Call, key state.CacheKey, next rpc.Handler) (*rpc.Reply, error) {
	f, first := c.flights.join(key)
	if !first {
		select {
		case <-f.landed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if f.result != nil {
			return respondWith(call, &state.Cached{Value: f.result, Fresh: f.fresh}), nil
		}
		return next.Handle(ctx, call)
	}
	_, mark := c.get(ctx, key)
	reply, err := next.Handle(ctx, call)
	if err != nil {
		c.flights.land(key, f, nil, 0)
		return nil, err
	}
	out := rpc.NewReply(&fetched{Reply: reply, cache: c, ctx: context.WithoutCancel(ctx), call: call, key: key, mark: mark, flight: f})
	out.Header, out.Revision = reply.Header, reply.Revision
	return out, nil
}

// revive fetches a new answer for one that is stale, unless somebody does already.
func (c *Cache) revive(ctx context.Context, call *rpc.Call, key state.CacheKey, hit *state.Cached, mark state.CacheMark, next rpc.Handler) {
	if hit.Fresh > 0 {
		return
	}
	f, first := c.flights.join(key)
	if !first {
		return
	}
	again := call.Detach()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviveTime)
	c.flights.work.Go(func() {
		defer cancel()
		defer c.flights.land(key, f, nil, 0)
		reply, err := next.Handle(ctx, again)
		if err != nil {
			return
		}
		defer reply.Close() //nolint:errcheck // nobody is there to be told
		r := &fetched{Reply: reply, cache: c, ctx: ctx, call: again, key: key, mark: mark, flight: f}
		for {
			if m, err := r.Next(); err != nil || m.IsResponse() {
				return
			}
		}
	})
}

// fetched is a reply whose response is kept as it goes by.
type fetched struct {
	*rpc.Reply
	cache  *Cache
	ctx    context.Context //nolint:containedctx // of the call, without its end: what was answered stays true
	call   *rpc.Call
	key    state.CacheKey
	mark   state.CacheMark
	flight *flight
}

// Next implements [rpc.Source].
func (f *fetched) Next() (*rpc.Message, error) {
	m, err := f.Reply.Next()
	if err == nil && m.IsResponse() {
		f.cache.keep(f, m)
	}
	return m, err
}

// Close implements [rpc.Source].
func (f *fetched) Close() error {
	f.cache.flights.land(f.key, f.flight, nil, 0)
	return f.Reply.Close()
}

// keep puts a response into the store if it may be kept, and gives it to who waits.
func (c *Cache) keep(f *fetched, m *rpc.Message) {
	life := c.lifetimeOf(f.call, m)
	if life.TTL <= 0 || !lasting(m) {
		c.flights.land(f.key, f.flight, nil, 0)
		return
	}
	result := m.Clone().Result
	key, tags := f.key, []string{f.call.Target.Upstream}
	if f.call.Target.Kind == rpc.Resource {
		tags = append(tags, resourceTag(f.call.Target.Upstream, f.call.Target.Own))
	}
	if life.Public {
		key = keyOf(f.call, true)
	}
	entry := state.CacheEntry{Value: result, TTL: life.TTL, Tags: tags}
	if f.call.Target.Kind == rpc.Tool {
		entry.Stale = c.tools.Stale
	}
	if err := c.store.Put(f.ctx, key, entry, f.mark); err != nil {
		c.log.DebugContext(f.ctx, "an answer is not cached", "error", err)
	}
	c.flights.land(f.key, f.flight, result, life.TTL)
}

// lasting reports whether a response is an answer to keep: a result, complete, and no
// failure of a tool.
func lasting(m *rpc.Message) bool {
	if m.Err != nil || m.CheckBody() != nil {
		return false
	}
	if kind, ok := m.Text("resultType"); ok && kind != "complete" {
		return false
	}
	failed, ok := m.Get("isError")
	return !ok || string(failed) == "false"
}

// lifetimeOf says how long an answer may be kept: a tool's as the operator says, a
// resource's as its server does.
func (c *Cache) lifetimeOf(call *rpc.Call, m *rpc.Message) rpc.Lifetime {
	if call.Target.Kind == rpc.Tool {
		return rpc.Lifetime{TTL: c.tools.TTL}
	}
	life := c.lifetime(m)
	if call.Record != nil && call.Record.Lifetime != nil {
		life = call.Record.Lifetime
	}
	if !life.Said {
		return rpc.Lifetime{TTL: c.unsaid}
	}
	return rpc.Lifetime{TTL: life.TTL, Public: life.Public && c.share}
}
