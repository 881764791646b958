package gateway

import (
	"context"

	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/rpc/mcp"
)

// dialect is what the dialects do not have in common: what policies know of methods, who knows what a call is about, and who
// answers it. All else is one chain.
type dialect struct {
	name    rpc.Dialect
	verbs   policy.Verbs
	resolve rpc.Middleware
	answers rpc.Handler
}

// dialects are those that a generation speaks.
func (n *generation) dialects() (tools, models *dialect) {
	return &dialect{rpc.MCP, verbsOf(rpc.MCP), n.router.Resolve, n.router}, &dialect{rpc.Infer, verbsOf(rpc.Infer), n.models.Resolve, n.models}
}

// verbsOf is what policies know of a dialect's methods.
func verbsOf(name rpc.Dialect) policy.Verbs {
	if name == rpc.Infer {
		return policy.Verbs{Of: infer.Verb, Listed: nothing, Also: infer.Also} // what lists models shows what may be used, to everybody
	}
	return policy.Verbs{Of: mcp.Verb, Listed: mcp.Listed}
}

func nothing(*rpc.Call) string { return "" }

// only is a policy that knows of nothing but one dialect.
func (d *dialect) only(name rpc.Dialect, layer rpc.Middleware) rpc.Middleware {
	if d.name != name {
		return pass
	}
	return layer
}

// byDialect sends calls the way of their dialect.
func (n *generation) byDialect(way func(d *dialect) rpc.Handler) rpc.Handler {
	d, e := n.dialects()
	tools, models := way(d), way(e)
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if c.Dialect == rpc.Infer {
			return models.Handle(ctx, c)
		}
		return tools.Handle(ctx, c)
	})
}

// inner passes calls that the gateway makes in the name of a principal to the generation of the moment.
func (g *Gateway) inner(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	return g.generation().inner.Handle(ctx, c)
}
