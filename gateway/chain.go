package gateway

import (
	"context"

	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/rpc"
)

// chain is the way of every call from the edge to dispatch, outermost first. A
// policy feels everything below it and must not care what is above it. Without a gate
// nobody is asked who they are. What outlives the configuration is the gateway's, the
// rest the generation's.
func (g *Gateway) chain(n *generation, d *dialect, gate *auth.Gate) rpc.Handler {
	identify, unscoped := rpc.Middleware(own), func(*rpc.Call, string) error { return nil }
	if gate != nil {
		identify, unscoped = gate.Authenticate, gate.Unscoped
	}
	return rpc.Chain(d.answers,
		rpc.Observe(n.observers(g.observers)...),
		n.clientAddress(),
		g.messages,
		n.audit,
		policy.Recover(g.logOf("policy")),
		policy.Origin(n.origins),
		identify,
		g.sessions.Guard,
		d.only(rpc.Infer, g.said.Guard),
		n.access.Scoped(d.verbs, unscoped),
		d.resolve,
		g.calls.Settle,
		n.access.Guard(d.verbs, unscoped),
		d.only(rpc.MCP, g.pins.Guard(n.modes)),
		n.memory.Shed,
		n.limits.Rate,
		d.only(rpc.Infer, g.said.Remember),
		n.cached,
		n.limits.Budget(g.paid),
	)
}

// innerChain is the way of the calls that the gateway makes in the name of a principal that it knows: the runs of
// jobs, and models that are asked in the middle of another call. They are resolved as if they came now, and pay
// budgets; rates were paid by what they are made for. The call has a record of its own.
func (g *Gateway) innerChain(n *generation, d *dialect) rpc.Handler {
	unscoped := func(*rpc.Call, string) error { return nil }
	if n.gate != nil {
		unscoped = n.gate.Unscoped
	}
	return rpc.Chain(d.answers,
		rpc.Observe(n.observers(g.observers)...),
		policy.Recover(g.logOf("policy")),
		d.resolve,
		g.calls.Settle,
		n.access.Guard(d.verbs, unscoped),
		d.only(rpc.MCP, g.pins.Guard(n.modes)),
		n.memory.Shed,
		n.cached,
		n.limits.Budget(g.paid),
	)
}

// pass is a policy that is switched off.
func pass(next rpc.Handler) rpc.Handler { return next }

// clientAddress looks behind trusted proxies, if there are any.
func (n *generation) clientAddress() rpc.Middleware {
	if len(n.proxies) == 0 {
		return pass
	}
	return n.proxies.Client
}

// cached is the cache, if there is one.
func (n *generation) cached(next rpc.Handler) rpc.Handler {
	if n.cache == nil {
		return next
	}
	return n.cache.Middleware(next)
}

// own is who calls where nobody is asked: whoever started the process, or can reach a
// gateway that is open.
func own(next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		c.Principal = rpc.Principal{Scopes: ownScopes}
		return next.Handle(ctx, c)
	})
}

// ownScopes allow everything. Nobody may change them.
var ownScopes = []string{"mcp:*", "infer:*", "logs:all"}
