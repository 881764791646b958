package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

var (
	allAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	allClaims     = config.Claims{Org: "org_id", Team: "team", User: "sub", Scopes: "scope"}
)

// trusting makes a gate for the tokens of a provider.
func trusting(t testing.TB, p *idp) *Gate {
	t.Helper()
	return newGate(t, &config.Auth{
		Resource: "https://gateway.example.com", Scopes: []string{"mcp:*"},
		JWT: []config.JWT{{Issuer: p.URL, JWKSURI: p.URL + "/jwks", Algorithms: allAlgorithms, Claims: allClaims, AllowPrivate: true}},
	})
}

func TestJWTsAreAccepted(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	g := trusting(t, p)
	ends := time.Now().Add(time.Minute).Truncate(time.Second)
	for name, text := range map[string]string{
		"RS256":             p.good(t, map[string]any{"exp": ends.Unix()}),
		"ES256":             token(t, jwt.SigningMethodES256, p.ecKey, p.claims(map[string]any{"exp": ends.Unix()}), map[string]any{"kid": "two"}),
		"PS256":             token(t, jwt.SigningMethodPS256, p.rsaKey, p.claims(map[string]any{"exp": ends.Unix()}), map[string]any{"kid": "one"}),
		"an access token":   token(t, jwt.SigningMethodRS256, p.rsaKey, p.claims(map[string]any{"exp": ends.Unix()}), map[string]any{"kid": "one", "typ": "at+jwt"}),
		"two audiences":     p.good(t, map[string]any{"exp": ends.Unix(), "aud": []string{"x", "https://gateway.example.com/mcp"}}),
		"the whole gateway": p.good(t, map[string]any{"exp": ends.Unix(), "aud": "https://gateway.example.com"}),
		"scopes in a list":  p.good(t, map[string]any{"exp": ends.Unix(), "scope": []string{"mcp:tools/*", "mcp:ping"}}),
	} {
		want := rpc.Principal{
			Org: "acme", Team: "tools", Key: p.URL, User: "alice", Scopes: []string{"mcp:tools/*", "mcp:ping"}, Expires: ends.Add(leeway),
		}
		for range 2 { // checked, and known
			if diff := cmp.Diff(want, accepted(t, g, bearing(text))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
	if n := p.fetched.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

// forgeries are tokens that must not get in. Those that bring addresses along name the
// canary's.
func forgeries(t *testing.T, p *idp, fetched *canary) map[string]string {
	t.Helper()
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&p.rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	one := map[string]any{"kid": "one"}
	signed := func(changes, header map[string]any) string {
		return token(t, jwt.SigningMethodRS256, p.rsaKey, p.claims(changes), header)
	}
	good := signed(nil, one)
	parts := strings.Split(good, ".")
	now := time.Now().Unix()
	return map[string]string{
		"wrong audience":               signed(map[string]any{"aud": "https://other.example.com/mcp"}, one),
		"no audience":                  signed(map[string]any{"aud": nil}, one),
		"audiences without ours":       signed(map[string]any{"aud": []string{"https://a", "https://gateway.example.com/mcp/"}}, one),
		"audience of another endpoint": signed(map[string]any{"aud": "https://gateway.example.com/mcp/one"}, one),
		"audience that is no text":     signed(map[string]any{"aud": 7}, one),
		"another issuer":               signed(map[string]any{"iss": "https://evil.example.com"}, one),
		"no issuer":                    signed(map[string]any{"iss": nil}, one),
		"expired":                      signed(map[string]any{"exp": now - 60}, one),
		"without an end":               signed(map[string]any{"exp": nil}, one),
		"not valid yet":                signed(map[string]any{"nbf": now + 120}, one),
		"made in the future":           signed(map[string]any{"iat": now + 120}, one),
		"alg none":                     token(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, p.claims(nil), one),
		"alg none, capital":            base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"NONE","kid":"one"}`)) + "." + parts[1] + ".",
		"HMAC by the public key":       token(t, jwt.SigningMethodHS256, public, p.claims(nil), one),
		"HMAC by the raw public key":   token(t, jwt.SigningMethodHS256, der, p.claims(nil), one),
		"a key nobody knows":           signed(nil, map[string]any{"kid": "three"}),
		"a key with a huge name":       signed(nil, map[string]any{"kid": strings.Repeat("k", 4096)}),
		"a key without a name":         signed(nil, map[string]any{"kid": nil}),
		"a key it brings along": token(t, jwt.SigningMethodRS256, stranger, p.claims(nil),
			map[string]any{"kid": "mine", "jwk": rsaJWK("mine", &stranger.PublicKey)}),
		"an address of keys it brings along": token(t, jwt.SigningMethodRS256, stranger, p.claims(nil),
			map[string]any{"kid": "mine", "jku": fetched.URL + "/jku", "x5u": fetched.URL + "/x5u"}),
		"a stranger's signature":  token(t, jwt.SigningMethodRS256, stranger, p.claims(nil), one),
		"a critical header":       signed(nil, map[string]any{"kid": "one", "crit": []string{"exp"}}),
		"another kind of token":   signed(nil, map[string]any{"kid": "one", "typ": "logout+jwt"}),
		"another curve's key":     token(t, jwt.SigningMethodES384, p384, p.claims(nil), map[string]any{"kid": "two"}),
		"no signature":            parts[0] + "." + parts[1] + ".",
		"a changed payload":       parts[0] + "." + strings.Split(signed(map[string]any{"sub": "root"}, one), ".")[1] + "." + parts[2],
		"bound to a certificate":  signed(map[string]any{"cnf": map[string]any{"x5t#S256": "AAAA"}}, one),
		"bound to a key":          signed(map[string]any{"cnf": map[string]any{"jkt": "AAAA"}}, one),
		"nobody":                  signed(map[string]any{"sub": nil}, one),
		"nobody's organisation":   signed(map[string]any{"org_id": nil}, one),
		"scopes that are numbers": signed(map[string]any{"scope": []int{1}}, one),
	}
}

// T1: forged tokens, and those for somebody else, are refused, and the client is told
// where to get a good one.
func TestT1_ForgedAndForeignTokensAreRefused(t *testing.T) {
	t.Parallel()
	p, fetched := newIDP(t), newCanary(t)
	good := p.good(t, nil)
	payload := strings.Split(good, ".")[1]
	tokens := forgeries(t, p, fetched)
	for name, text := range tokens {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := trusting(t, p) // of its own, so that no other one's tries count
			for range 2 {
				e := refusedWith(t, g, bearing(text), rpc.Unauthenticated)
				got := e.Header.Get("WWW-Authenticate")
				for _, want := range []string{
					`Bearer error="invalid_token"`, `resource_metadata="https://gateway.example.com/.well-known/oauth-protected-resource/mcp"`, `scope="mcp:*"`,
				} {
					if !strings.Contains(got, want) {
						t.Errorf("WWW-Authenticate lacks %s: %s", want, got)
					}
				}
				if strings.Contains(e.Error(), payload) {
					t.Error("the error holds the token")
				}
			}
		})
	}
	if len(tokens) < 24 {
		t.Errorf("%d tokens", len(tokens))
	}
	t.Cleanup(func() {
		if n := fetched.hits.Load(); n > 0 {
			t.Errorf("addresses in headers were asked %d times", n)
		}
	})
	accepted(t, trusting(t, p), bearing(good))
}

func TestStaticKeys(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	der, err := x509.MarshalPKIXPublicKey(&p.ecKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	const secret = "a secret of at least thirty-two characters"
	g := newGate(t, &config.Auth{JWT: []config.JWT{
		{Issuer: "shop", Audience: "us", Secret: secret, Algorithms: []string{"HS256", "HS384", "HS512"}, Claims: allClaims},
		{Issuer: "fixed", Audience: "us", Key: config.Secret(public), Algorithms: []string{"ES256"}, Claims: config.Claims{User: "who.name", Scopes: "who.roles"}},
	}})
	mine := func(issuer string, changes map[string]any) jwt.MapClaims {
		c := p.claims(changes)
		c["iss"], c["aud"] = issuer, "us"
		return c
	}
	if got := accepted(t, g, bearing(token(t, jwt.SigningMethodHS512, []byte(secret), mine("shop", nil), nil))); got.Key != "shop" || got.User != "alice" {
		t.Errorf("principal %+v", got)
	}
	nested := map[string]any{"who": map[string]any{"name": "bob", "roles": []string{"mcp:*"}}}
	got := accepted(t, g, bearing(token(t, jwt.SigningMethodES256, p.ecKey, mine("fixed", nested), nil)))
	if got.Key != "fixed" || got.User != "bob" || len(got.Scopes) != 1 {
		t.Errorf("principal %+v", got)
	}
	for name, text := range map[string]string{
		"HMAC by the public key":  token(t, jwt.SigningMethodHS256, []byte(public), mine("fixed", nested), nil),
		"another issuer's secret": token(t, jwt.SigningMethodHS256, []byte(secret), mine("fixed", nested), nil),
		"another issuer's key":    token(t, jwt.SigningMethodES256, p.ecKey, mine("shop", nil), nil),
		"another secret":          token(t, jwt.SigningMethodHS256, []byte(secret+"!"), mine("shop", nil), nil),
	} {
		t.Run(name, func(t *testing.T) { refusedWith(t, g, bearing(text), rpc.Unauthenticated) })
	}
}

// Keys are found through the issuer's metadata, followed when they change, and used
// while the issuer cannot be reached.
func TestKeysOfIssuersAreFollowed(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	g := newGate(t, &config.Auth{
		Resource: "https://gateway.example.com",
		JWT:      []config.JWT{{Issuer: p.URL, Algorithms: allAlgorithms, Claims: allClaims, AllowPrivate: true}},
	})
	accepted(t, g, bearing(p.good(t, nil)))
	later := func(d time.Duration) {
		set := g.jwts.issuers[p.URL].set
		set.mu.Lock()
		set.tried, set.fetched = set.tried.Add(-d), set.fetched.Add(-d)
		set.mu.Unlock()
	}
	next, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p.publish(rsaJWK("next", &next.PublicKey))
	fresh := func() string {
		return token(t, jwt.SigningMethodRS256, next, p.claims(map[string]any{"jti": rand.Text()}), map[string]any{"kid": "next"})
	}
	refusedWith(t, g, bearing(fresh()), rpc.Unauthenticated) // nobody can make the gateway ask all the time
	later(keysAgain)
	accepted(t, g, bearing(fresh()))
	refusedWith(t, g, bearing(p.good(t, map[string]any{"jti": "x"})), rpc.Unauthenticated) // the old key is gone
	p.Close()
	later(keysFresh)
	accepted(t, g, bearing(fresh()))
	later(keysUsed)
	if e := refusedWith(t, g, bearing(fresh()), rpc.AuthDown); strings.Contains(e.Message, p.URL) || e.RetryAfter == 0 {
		t.Errorf("the client is told %q, retry after %v", e.Message, e.RetryAfter)
	}
}

func TestMetadataOfAnotherIssuerIsNotBelieved(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/jwks"})
	}))
	defer liar.Close()
	g := newGate(t, &config.Auth{JWT: []config.JWT{{Issuer: liar.URL, Audience: "us", Algorithms: allAlgorithms, Claims: allClaims, AllowPrivate: true}}})
	refusedWith(t, g, bearing(p.good(t, map[string]any{"iss": liar.URL, "aud": "us"})), rpc.AuthDown)
	if n := p.fetched.Load(); n != 0 {
		t.Errorf("its keys were fetched %d times", n)
	}
}

func TestTokensEndWhenTheySay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const secret = "a secret of at least thirty-two characters"
		g := newGate(t, &config.Auth{JWT: []config.JWT{{Issuer: "shop", Audience: "us", Secret: secret, Algorithms: []string{"HS256"}, Claims: config.Claims{User: "sub"}}}})
		text := token(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"iss": "shop", "aud": "us", "sub": "a", "exp": time.Now().Add(90 * time.Second).Unix()}, nil)
		for range 11 {
			accepted(t, g, bearing(text))
			time.Sleep(10 * time.Second)
		}
		time.Sleep(10*time.Second + 1)
		for range 2 * maxTries {
			e := refusedWith(t, g, bearing(text), rpc.Unauthenticated) // and nobody is shut out for it
			if !strings.Contains(e.Header.Get("WWW-Authenticate"), "it has expired") {
				t.Fatalf("challenge %v", e.Header)
			}
		}
	})
}

func BenchmarkKnownJWT(b *testing.B) {
	p := newIDP(b)
	g := trusting(b, p)
	c := bearing(p.good(b, nil))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.identify(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}
