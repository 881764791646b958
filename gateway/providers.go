package gateway

import (
	"context"

	"github.com/headgate/headgate/policy/auth"
)

// Providers asks all identity providers of the configuration whether they are there. It
// needs no listener, so it may be called without [Gateway.Start].
func (g *Gateway) Providers(ctx context.Context) []auth.Provider {
	gate := g.generation().gate
	if gate == nil {
		return nil
	}
	return gate.Check(ctx)
}
