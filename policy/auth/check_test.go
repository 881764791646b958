package auth

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/headgate/headgate/config"
)

func TestCheckTellsHowProvidersAre(t *testing.T) {
	t.Parallel()
	p, o := newIDP(t), newOracle(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	introspection := func(url, secret string) config.Introspection {
		return config.Introspection{URL: url, ClientID: "gate/way", ClientSecret: config.Secret(secret), Audience: "us", AllowPrivate: true}
	}
	g := newGate(t, &config.Auth{
		JWT: []config.JWT{
			{Issuer: p.URL, Algorithms: allAlgorithms, AllowPrivate: true},
			{Issuer: "static", Secret: "x"},
			{Issuer: gone.URL, Algorithms: allAlgorithms, AllowPrivate: true},
			{Issuer: "private", JWKSURI: p.URL + "/jwks"},
		},
		Introspection: []config.Introspection{introspection(o.URL, "s:cret"), introspection(o.URL+"/", "wrong"), introspection(gone.URL, "s:cret")},
	})
	want := []struct {
		name, kind string
		up         bool
	}{
		{p.URL, "jwks", true},
		{gone.URL, "jwks", false},
		{"private", "jwks", false},
		{o.URL, "introspection", true},
		{o.URL + "/", "introspection", false},
		{gone.URL, "introspection", false},
	}
	got := g.Check(t.Context())
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, w := range want {
		if got[i].Name != w.name || got[i].Kind != w.kind || (got[i].Err == nil) != w.up {
			t.Errorf("%+v, want %+v", got[i], w)
		}
	}
}
