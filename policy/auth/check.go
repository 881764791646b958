package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Provider is what one look at an identity provider found.
type Provider struct {
	Name    string // the issuer, or the address that is asked
	Kind    string // "jwks" or "introspection"
	Latency time.Duration
	Err     error // why it is of no use; for operators, since it names addresses
}

// Check asks all identity providers what a token would make the gateway ask, at the
// same time, and returns what came of it in the order of the configuration.
func (g *Gate) Check(ctx context.Context) []Provider {
	var out []Provider
	var ask []func() error
	for _, i := range g.jwts.order {
		if i.set != nil {
			out = append(out, Provider{Name: i.cfg.Issuer, Kind: "jwks"})
			ask = append(ask, func() error { return i.set.refresh(ctx) })
		}
	}
	for _, i := range g.introspectors {
		out = append(out, Provider{Name: i.cfg.URL, Kind: "introspection"})
		ask = append(ask, func() error { return i.check(ctx, g.now()) })
	}
	var all sync.WaitGroup
	for n := range out {
		all.Go(func() {
			began := time.Now()
			err := ask[n]()
			if e, ok := errors.AsType[*rpc.Error](err); ok && e.Cause != nil {
				err = e.Cause
			}
			out[n].Latency, out[n].Err = time.Since(began), err
		})
	}
	all.Wait()
	return out
}

// check asks about a token that nobody has: that it is not active is a good answer.
func (i *introspector) check(ctx context.Context, now time.Time) error {
	_, err := i.ask(ctx, rand.Text(), now)
	if _, refused := errors.AsType[*refusal](err); refused {
		return nil
	}
	return err
}
