package auth

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func FuzzAuthorizationHeader(f *testing.F) {
	for _, s := range []string{"", "Bearer x", "bearer  x", "Bearer", "Bearer ", "Basic eA==", "Bearer a b", "Bearer é", "Bearer a,Bearer b", "Bearer \x00"} {
		f.Add(s, "")
		f.Add(s, "key")
	}
	f.Fuzz(func(t *testing.T, authorization, key string) {
		h := http.Header{}
		if authorization != "" {
			h["Authorization"] = []string{authorization}
		}
		if key != "" {
			h["X-Api-Key"] = []string{key}
		}
		got, err := credentialOf(h)
		switch {
		case err != nil && got != "":
			t.Errorf("%q beside %v", got, err)
		case err == nil && len(h) == 0 && got != "", err == nil && len(h) == 2:
			t.Errorf("%q of %q", got, h)
		case err == nil && len(h) == 1 && (got == "" || strings.ContainsAny(got, " \t\r\n") || !strings.HasSuffix(strings.TrimSpace(authorization+key), got)):
			t.Errorf("%q of %q", got, h)
		}
	})
}

func FuzzForwardedFor(f *testing.F) {
	for _, s := range []string{"", "1.2.3.4", "1.2.3.4, 10.0.0.1", "[::1]:80", "unknown", ",,,", "fe80::1%eth0", "::ffff:10.0.0.1", "1.2.3.4\t,\t10.1.1.1"} {
		f.Add(s, "")
		f.Add("6.6.6.6", s)
	}
	trusted := proxies(f, "10.0.0.0/8", "fd00::/8")
	peer := netip.MustParseAddr("10.0.0.9")
	f.Fuzz(func(t *testing.T, first, second string) {
		got := trusted.behind(peer, http.Header{"X-Forwarded-For": {first, second}})
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Errorf("%v", got)
		}
		// Whatever the client wrote before what the proxy added changes nothing.
		known := trusted.behind(peer, http.Header{"X-Forwarded-For": {first + "," + second, "203.0.113.5"}})
		if known != netip.MustParseAddr("203.0.113.5") {
			t.Errorf("the client made itself %v", known)
		}
	})
}

func FuzzKeyFile(f *testing.F) {
	_, hash := NewKey()
	f.Add([]byte(`{"id":"a","hash":"` + hash + `","scopes":["mcp:*"]}` + "\n" + `{"id":"a","revoked":"2026-01-01T00:00:00Z"}` + "\n"))
	f.Add([]byte(`{"id":"a","hash":"sha256:00"}` + "\n"))
	f.Add([]byte("\n\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parseKeys(data)
		if err != nil {
			return
		}
		live, err := good(keys)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, k := range live {
			if k.principal.Key == "" || seen[k.principal.Key] || strings.ContainsAny(k.principal.Key, ":/ \n") {
				t.Errorf("key %q", k.principal.Key)
			}
			seen[k.principal.Key] = true
		}
		newKeyTable(live, nil)
	})
}

func FuzzIdentity(f *testing.F) {
	f.Add([]byte(`{"sub":"a","aud":["x"],"scope":"a b","cnf":{"x5t#S256":"x"}}`))
	f.Add([]byte(`{"sub":7,"aud":{},"scope":[1]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		i := &introspector{}
		i.cfg.Claims.User, i.cfg.Claims.Scopes = "sub", "scope"
		claims, ok := claimsOf(data)
		if !ok {
			return
		}
		claims["active"] = true
		if id, err := i.read(claims, fixedTime); err == nil && (id.principal.User == "" || !isPlain(id.principal.User)) {
			t.Errorf("%+v", id.principal)
		}
	})
}

var fixedTime = time.Unix(1_800_000_000, 0)

func claimsOf(data []byte) (map[string]any, bool) {
	var claims map[string]any
	err := json.Unmarshal(data, &claims)
	return claims, err == nil && claims != nil
}
