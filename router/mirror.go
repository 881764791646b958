package router

import (
	"context"
	"errors"

	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// send passes a call on. Where the upstream says that the headers beside it do not
// mirror it, its tool has changed since it was listed: it is listed again and the call, which did not
// run, made once more (SEP-2243).
func (r *Router) send(ctx context.Context, view *catalog.View, up rpc.Handler, c *rpc.Call) (*rpc.Reply, error) {
	reply, err := up.Handle(ctx, c)
	if err == nil || c.Target.Kind != rpc.Tool || !errors.Is(err, mcp.ErrMirrors) {
		return reply, err
	}
	again := r.relisted(ctx, view, c)
	if again == nil {
		return nil, err
	}
	return up.Handle(ctx, again)
}

// relisted returns the call with the headers that its tool asks for by now; nil if that
// cannot be known.
func (r *Router) relisted(ctx context.Context, view *catalog.View, c *rpc.Call) *rpc.Call {
	if !r.Catalog.RenewTools(ctx, c.Target.Upstream, c.Client) {
		return nil
	}
	name := c.Target.Exposed
	if c.Target.Owner != "" {
		view, name = r.destinations[c.Target.Upstream], c.Target.Own
	}
	target, err := r.Catalog.ResolveTool(ctx, view, c.Client, name)
	if err != nil || target.Upstream != c.Target.Upstream || target.Own != c.Target.Own {
		return nil
	}
	out := *c
	out.Target.ParamHeaders = target.ParamHeaders
	return &out
}
