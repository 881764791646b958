package auth

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// presenting is a connection whose client presented a certificate.
func presenting(leaf *x509.Certificate, isVerified bool) *tls.ConnectionState {
	s := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	if isVerified {
		s.VerifiedChains = [][]*x509.Certificate{{leaf}}
	}
	return s
}

func TestCertificatesNameTheirBearers(t *testing.T) {
	t.Parallel()
	ends := time.Now().Add(time.Hour)
	leaf := func(common string, dns []string, uri string) *x509.Certificate {
		c := &x509.Certificate{Raw: []byte(common), Subject: pkix.Name{CommonName: common}, DNSNames: dns, NotAfter: ends}
		if uri != "" {
			u, err := url.Parse(uri)
			if err != nil {
				t.Fatal(err)
			}
			c.URIs = []*url.URL{u}
		}
		return c
	}
	key, hash := NewKey()
	g := newGate(t, &config.Auth{
		Keys: []config.APIKey{{ID: "a", Hash: hash}},
		Certificates: []config.Certificate{
			{Name: "spiffe://acme/ci/*", Org: "acme", Team: "build", Scopes: []string{"mcp:*"}},
			{Name: "*.agents.example.com", Org: "agents"},
			{Name: "robot", Org: "robots"},
		},
	})
	ci := leaf("robot", nil, "spiffe://acme/ci/7")
	want := rpc.Principal{Org: "acme", Team: "build", Key: certificateKey, User: "spiffe://acme/ci/7", Scopes: []string{"mcp:*"}, Expires: ends}
	if diff := cmp.Diff(want, accepted(t, g, over(callWith(), presenting(ci, true)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := accepted(t, g, over(callWith(), presenting(leaf("robot", []string{"one.agents.example.com"}, ""), true))); got.Org != "agents" {
		t.Errorf("principal %+v", got)
	}
	if got := accepted(t, g, over(callWith(), presenting(leaf("robot", nil, ""), true))); got.Org != "robots" || got.User != "robot" {
		t.Errorf("principal %+v", got)
	}
	if got := accepted(t, g, over(bearing(key), presenting(ci, true))); got.Key != "a" {
		t.Errorf("with a key of its own: %+v", got)
	}
	for name, state := range map[string]*tls.ConnectionState{
		"no TLS": nil, "no certificate": {}, "one nobody vouches for": presenting(ci, false),
		"another name":                     presenting(leaf("someone", nil, ""), true),
		"a common name beside another one": presenting(leaf("robot", []string{"someone.example.com"}, ""), true),
		"another path":                     presenting(leaf("", nil, "spiffe://acme/admin"), true),
		"no name":                          presenting(leaf("", nil, ""), true),
	} {
		t.Run(name, func(t *testing.T) { refusedWith(t, g, over(callWith(), state), rpc.Unauthenticated) })
	}
	refusedWith(t, g, over(bearing("wrong"), presenting(ci, true)), rpc.Unauthenticated)
}

// RFC 8705: a token that is bound to a certificate is good with it alone.
func TestBoundTokensNeedTheirCertificate(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	g := trusting(t, p)
	leaf := &x509.Certificate{Raw: []byte("certificate")}
	sum := sha256.Sum256(leaf.Raw)
	bound := p.good(t, map[string]any{"cnf": map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}})
	accepted(t, g, over(bearing(bound), presenting(leaf, true)))
	refusedWith(t, g, bearing(bound), rpc.Unauthenticated)
	refusedWith(t, g, over(bearing(bound), presenting(&x509.Certificate{Raw: []byte("another")}, true)), rpc.Unauthenticated)
}

func TestAnonymousClients(t *testing.T) {
	t.Parallel()
	g := newGate(t, &config.Auth{Anonymous: &config.Anonymous{Org: "public", Team: "guests", Scopes: []string{"mcp:tools/list"}}})
	want := rpc.Principal{Org: "public", Team: "guests", Scopes: []string{"mcp:tools/list"}}
	if diff := cmp.Diff(want, accepted(t, g, callWith())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	refusedWith(t, g, bearing("wrong"), rpc.Unauthenticated) // who says he is somebody is not nobody
	refusedWith(t, g, callWith("X-Api-Key", ""), rpc.InvalidRequest)
}
