package auth

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// after makes a gate that takes the place of another one.
func after(former *Gate) func(*Deps) { return func(d *Deps) { d.Former = former } }

// A gate that takes the place of another one lets in who it knows, and nobody else; whoever has used up all tries has.
func TestAGateTakesThePlaceOfAnotherOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stays, hash := NewKey()
		goes, goneHash := NewKey()
		comes, newHash := NewKey()
		first := newGate(t, &config.Auth{Keys: []config.APIKey{{ID: "a", Hash: hash}, {ID: "b", Hash: goneHash}}})
		accepted(t, first, bearing(stays))
		accepted(t, first, bearing(goes))
		for i := range maxTries {
			refusedWith(t, first, bearing(fmt.Sprint("guess-", i)), rpc.Unauthenticated)
		}
		second := newGate(t, &config.Auth{Keys: []config.APIKey{{ID: "a", Hash: hash}, {ID: "c", Hash: newHash}}}, after(first))
		refusedWith(t, second, bearing("one-more"), rpc.TooManyTries)
		accepted(t, second, bearing(stays)) // it was used here before
		refusedWith(t, second, bearing(comes), rpc.TooManyTries)
		refusedWith(t, second, bearing(goes), rpc.TooManyTries)
		time.Sleep(maxTries * tryInterval)
		accepted(t, second, bearing(comes))
		refusedWith(t, second, bearing(goes), rpc.Unauthenticated)
	})
}

// What is known of the keys and tokens of issuers is gone on with where their configuration is the same, wherever in the file it stands.
func TestAGateGoesOnWithTheIssuersOfAnotherOne(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	cfg := func(line int, org string) *config.Auth {
		claims := allClaims
		claims.Org = org
		return &config.Auth{Resource: "https://gateway.example.com", JWT: []config.JWT{{
			Position: config.Position{Line: line}, Issuer: p.URL, JWKSURI: p.URL + "/jwks", Algorithms: allAlgorithms, Claims: claims, AllowPrivate: true,
		}}}
	}
	token := p.good(t, nil)
	first := newGate(t, cfg(1, allClaims.Org))
	known := accepted(t, first, bearing(token))
	second := newGate(t, cfg(2, allClaims.Org), after(first))
	first.Retire(second)
	if got := accepted(t, second, bearing(token)); got.User != known.User || p.fetched.Load() != 1 {
		t.Errorf("%+v, keys fetched %d times", got, p.fetched.Load())
	}
	third := newGate(t, cfg(2, ""), after(second))
	second.Retire(third)
	if got := accepted(t, third, bearing(token)); got.Org == known.Org || p.fetched.Load() != 2 {
		t.Errorf("%+v by other claims, keys fetched %d times", got, p.fetched.Load())
	}
}

// Servers that are asked about tokens go on, and what they said is known until it ends.
func TestAGateGoesOnWithIntrospection(t *testing.T) {
	t.Parallel()
	o := newOracle(t)
	o.knows("opaque", active())
	cfg := func(cache time.Duration) *config.Auth {
		return &config.Auth{Resource: "https://gateway.example.com", Introspection: []config.Introspection{{
			URL: o.URL, ClientID: "gate/way", ClientSecret: "s:cret", Cache: cache, Claims: config.Claims{Org: "org", User: "sub", Scopes: "scope"}, AllowPrivate: true,
		}}}
	}
	first := newGate(t, cfg(time.Minute))
	accepted(t, first, bearing("opaque"))
	second := newGate(t, cfg(time.Minute), after(first))
	first.Retire(second)
	accepted(t, second, bearing("opaque"))
	if o.asked.Load() != 1 {
		t.Errorf("asked %d times", o.asked.Load())
	}
	third := newGate(t, cfg(time.Second), after(second))
	second.Retire(third)
	accepted(t, third, bearing("opaque"))
	if o.asked.Load() != 2 {
		t.Errorf("asked %d times by another configuration", o.asked.Load())
	}
}
