package gateway

import (
	"context"

	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/rpc/mcp"
)

// What the dialects do not have in common: who knows what a call is about, who answers it, and what policies
// know of its methods. All else is one chain.

// verbs is what the policies know of methods.
var verbs = policy.Verbs{Of: verbOf, Listed: listedBy, Also: alsoOf}

func verbOf(c *rpc.Call) string {
	if c.Dialect == rpc.Infer {
		return infer.Verb(c)
	}
	return mcp.Verb(c)
}

func alsoOf(c *rpc.Call) string {
	if c.Dialect == rpc.Infer {
		return infer.Also(c)
	}
	return ""
}

func listedBy(c *rpc.Call) string {
	if c.Dialect == rpc.Infer {
		return "" // initialize and status show what may be used to everybody
	}
	return mcp.Listed(c)
}

// resolve finds what a call is about, by its dialect.
func (n *generation) resolve(next rpc.Handler) rpc.Handler {
	return byDialect(n.router.Resolve(next), n.models.Resolve(next))
}

// dispatch answers calls, by their dialect.
func (n *generation) dispatch() rpc.Handler { return byDialect(n.router, n.models) }

// mcpOnly is a policy that knows nothing of models.
func mcpOnly(layer rpc.Middleware) rpc.Middleware {
	return func(next rpc.Handler) rpc.Handler { return byDialect(layer(next), next) }
}

// modelsOnly is a policy that knows of nothing but models.
func modelsOnly(layer rpc.Middleware) rpc.Middleware {
	return func(next rpc.Handler) rpc.Handler { return byDialect(next, layer(next)) }
}

// byDialect is a handler for each dialect.
func byDialect(tools, models rpc.Handler) rpc.Handler {
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
