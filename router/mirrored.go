package router

import (
	"context"

	"github.com/headgate/headgate/router/route"
	"github.com/headgate/headgate/rpc"
)

// mirrored has a call that was made copied to the mirror of its rule. What may change something is copied only where the rule says so, for
// it happens twice then: by default both upstreams have to say that it does not matter.
func (r *Router) mirrored(ctx context.Context, c *rpc.Call, reply *rpc.Reply) *rpc.Reply {
	name := c.Route.Mirror
	if name == c.Target.Upstream || !r.serves(name) || !c.Route.MirrorAll && !harmless(c) {
		return reply
	}
	return r.Mirrors.Follow(ctx, name, c, reply, func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		target, err := r.destined(ctx, c, name)
		if err != nil {
			return nil, err
		}
		if c.Target = target; !c.Route.MirrorAll && !harmless(c) {
			return nil, route.ErrNotMirrored
		}
		return r.Upstreams[name].Handle(ctx, c)
	})
}

// harmless reports whether a call may be made twice.
func harmless(c *rpc.Call) bool { return c.Method.Idempotent || c.Target.Idempotent }
