package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// idp is an identity provider on loopback that publishes its keys.
type idp struct {
	*httptest.Server
	rsaKey  *rsa.PrivateKey
	ecKey   *ecdsa.PrivateKey
	fetched atomic.Int64 // how often the keys were asked for
	set     atomic.Pointer[[]map[string]string]
}

func newIDP(t testing.TB) *idp {
	t.Helper()
	p := &idp{}
	var err error
	if p.rsaKey, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if p.ecKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	p.publish(rsaJWK("one", &p.rsaKey.PublicKey), ecJWK("two", &p.ecKey.PublicKey))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		p.fetched.Add(1)
		answerJSON(w, map[string]any{"keys": *p.set.Load()})
	})
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/jwks"})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *idp) publish(keys ...map[string]string) { p.set.Store(&keys) }

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func number(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }

func rsaJWK(kid string, k *rsa.PublicKey) map[string]string {
	return map[string]string{"kty": "RSA", "kid": kid, "use": "sig", "n": number(k.N), "e": number(big.NewInt(int64(k.E)))}
}

func ecJWK(kid string, k *ecdsa.PublicKey) map[string]string {
	raw, _ := k.Bytes()
	x, y := raw[1:33], raw[33:65]
	return map[string]string{
		"kty": "EC", "crv": "P-256", "kid": kid,
		"x": base64.RawURLEncoding.EncodeToString(x), "y": base64.RawURLEncoding.EncodeToString(y),
	}
}

// claims are those of a good token, with changes; a change to nil takes one away.
func (p *idp) claims(changes map[string]any) jwt.MapClaims {
	now := time.Now().Unix()
	c := jwt.MapClaims{
		"iss": p.URL, "aud": "https://gateway.example.com/mcp", "sub": "alice", "org_id": "acme", "team": "tools",
		"scope": "mcp:tools/* mcp:ping", "iat": now, "nbf": now, "exp": now + 600,
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// token signs claims, with changes to the header.
func token(t testing.TB, method jwt.SigningMethod, key crypto.PrivateKey, claims jwt.MapClaims, header map[string]any) string {
	t.Helper()
	out := jwt.NewWithClaims(method, claims)
	maps.Copy(out.Header, header)
	maps.DeleteFunc(out.Header, func(_ string, v any) bool { return v == nil })
	text, err := out.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// good signs with the provider's first key.
func (p *idp) good(t testing.TB, changes map[string]any) string {
	t.Helper()
	return token(t, jwt.SigningMethodRS256, p.rsaKey, p.claims(changes), map[string]any{"kid": "one"})
}
