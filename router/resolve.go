package router

import (
	"context"

	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Resolve finds what a call is about and writes it into the call's target. Calls
// whose method has no owner pass.
func (r *Router) Resolve(next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		view := r.views[c.Endpoint]
		if view == nil {
			return nil, rpc.Errorf(rpc.NoEndpoint, "no endpoint has the path %s", rpc.Excerpt(c.Endpoint))
		}
		if c.Method.Dest == rpc.Owner {
			if err := r.resolve(ctx, view, c); err != nil {
				return nil, err
			}
			c.Target.Merged = !view.Single
		}
		return next.Handle(ctx, c)
	})
}

func (r *Router) resolve(ctx context.Context, view *catalog.View, c *rpc.Call) error {
	if c.Method.Subject == "" {
		if view.Single {
			c.Target = rpc.Target{Upstream: view.Upstreams[0]}
		}
		return nil // on a merged endpoint nobody owns it, which dispatch says
	}
	name, ok := c.Message.Text(string(c.Method.Subject))
	if !ok {
		return rpc.Errorf(rpc.InvalidParams, "params.%s must be a string", c.Method.Subject)
	}
	target, err := r.Catalog.Resolve(ctx, view, c.Client, name)
	if err != nil {
		return err
	}
	c.Target = *target
	c.Target.Exposed = name
	if c.Client.Era == rpc.Modern {
		return mcp.CheckParams(c.Header, c.Message, target.ParamHeaders)
	}
	return nil
}
