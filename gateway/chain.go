package gateway

import (
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/rpc"
)

// chain is the way of every call from the edge to dispatch, outermost first. A
// policy feels everything below it and must not care what is above it.
func (g *Gateway) chain() rpc.Handler {
	return rpc.Chain(g.router,
		policy.AccessLog(g.log),
		policy.Recover(g.log),
		policy.Origin(g.origins),
		g.sessions.Guard,
		g.router.Resolve,
	)
}
