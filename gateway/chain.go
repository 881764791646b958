package gateway

import (
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/rpc"
)

// chain is the way of every call from the edge to dispatch, outermost first. A
// policy feels everything below it and must not care what is above it. Without a gate
// nobody is asked who they are.
func (g *Gateway) chain(gate *auth.Gate) rpc.Handler {
	identify, scoped := pass, pass
	if gate != nil {
		identify, scoped = gate.Authenticate, gate.Scoped
	}
	return rpc.Chain(g.router,
		g.clientAddress(),
		policy.AccessLog(g.log),
		policy.Recover(g.log),
		policy.Origin(g.origins),
		identify,
		g.sessions.Guard,
		scoped,
		g.router.Resolve,
	)
}

// pass is a policy that is switched off.
func pass(next rpc.Handler) rpc.Handler { return next }

// clientAddress looks behind trusted proxies, if there are any.
func (g *Gateway) clientAddress() rpc.Middleware {
	if len(g.proxies) == 0 {
		return pass
	}
	return g.proxies.Client
}
