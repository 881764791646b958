package auth

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

func TestMetadataOfEachEndpoint(t *testing.T) {
	t.Parallel()
	named := &config.Auth{
		Resource: "https://gateway.example.com", Scopes: []string{"mcp:*"},
		JWT: []config.JWT{
			{Issuer: "https://idp.example.com", Secret: "x"}, {Issuer: "shop", Secret: "x"},
		},
		Introspection: []config.Introspection{{URL: "https://a/introspect", Issuer: "https://idp.example.com"}, {URL: "https://b", Issuer: "https://b.example.com"}},
	}
	below, found, keysOnly := *named, *named, *named
	below.Resource, found.Resource = "https://example.com/tools", ""
	keysOnly.JWT, keysOnly.Introspection = nil, nil
	for _, tt := range []struct {
		name, path string
		cfg        *config.Auth
		resource   string // empty for none
	}{
		{"root", "", named, "https://gateway.example.com/mcp"},
		{"merged", "/mcp", named, "https://gateway.example.com/mcp"},
		{"one", "/mcp/one", named, "https://gateway.example.com/mcp/one"},
		{"unknown", "/mcp/none", named, ""},
		{"with a slash", "/mcp/", named, ""},
		{"below a path", "/tools/mcp/one", &below, "https://example.com/tools/mcp/one"},
		{"below a path that the proxy took away", "/mcp", &below, "https://example.com/tools/mcp"},
		{"as the client calls it", "/mcp", &found, "http://name.example.com:8970/mcp"},
		{"no issuer to name", "/mcp", &keysOnly, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t, tt.cfg)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://name.example.com:8970"+MetadataPath+tt.path, http.NoBody)
			w := httptest.NewRecorder()
			g.Metadata().ServeHTTP(w, r)
			if tt.resource == "" {
				if w.Code != http.StatusNotFound {
					t.Errorf("status %d: %s", w.Code, w.Body)
				}
				return
			}
			var got any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("%d %s: %v", w.Code, w.Body, err)
			}
			want := map[string]any{
				"resource": tt.resource, "authorization_servers": []any{"https://idp.example.com", "https://b.example.com"}, "scopes_supported": []any{"mcp:*"},
				"bearer_methods_supported": []any{"header"}, "resource_name": got.(map[string]any)["resource_name"],
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("header %v", w.Header())
			}
		})
	}
	g := newGate(t, named)
	for method, status := range map[string]int{http.MethodHead: 200, http.MethodOptions: 204, http.MethodPost: 405, http.MethodDelete: 405} {
		w := httptest.NewRecorder()
		g.Metadata().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "http://x"+MetadataPath, http.NoBody))
		if w.Code != status {
			t.Errorf("%s: %d, want %d", method, w.Code, status)
		}
	}
}

func TestChallenges(t *testing.T) {
	t.Parallel()
	jwt := []config.JWT{{Issuer: "https://idp.example.com", Secret: "x"}}
	named := newGate(t, &config.Auth{Resource: "https://gateway.example.com", Scopes: []string{"mcp:*", "infer:*"}, JWT: jwt})
	found := newGate(t, &config.Auth{Scopes: []string{"mcp:*"}, JWT: jwt})
	plain := newGate(t, &config.Auth{Scopes: []string{"mcp:*"}})
	secure := over(callWith(), &tls.ConnectionState{})
	odd := callWith()
	odd.Host = `x", evil="`
	one := callWith()
	one.Endpoint = "/mcp/one"
	for name, tt := range map[string]struct {
		gate *Gate
		call *rpc.Call
		want string
	}{
		"by configuration": {named, callWith(), `Bearer resource_metadata="https://gateway.example.com/.well-known/oauth-protected-resource/mcp", scope="mcp:* infer:*"`},
		"of an endpoint":   {named, one, `Bearer resource_metadata="https://gateway.example.com/.well-known/oauth-protected-resource/mcp/one", scope="mcp:* infer:*"`},
		"by name":          {found, callWith(), `Bearer resource_metadata="http://gateway.example.com/.well-known/oauth-protected-resource/mcp", scope="mcp:*"`},
		"by name over TLS": {found, secure, `Bearer resource_metadata="https://gateway.example.com/.well-known/oauth-protected-resource/mcp", scope="mcp:*"`},
		"no name":          {found, odd, `Bearer realm="headgate"`},
		"keys only":        {plain, callWith(), `Bearer realm="headgate"`},
	} {
		e := refusedWith(t, tt.gate, tt.call, rpc.Unauthenticated)
		if got := e.Header.Get("WWW-Authenticate"); got != tt.want {
			t.Errorf("%s: %s\nwant %s", name, got, tt.want)
		}
	}
	e := named.Insufficient(callWith(), "mcp:tools/call", "mcp:resources/read")
	want := `Bearer error="insufficient_scope", resource_metadata="https://gateway.example.com/.well-known/oauth-protected-resource/mcp", scope="mcp:tools/call mcp:resources/read"`
	if got := e.Header.Get("WWW-Authenticate"); got != want || e.Code != rpc.Forbidden {
		t.Errorf("%v: %s", e.Code, got)
	}
}

func TestScopesSayWhichMethods(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		scope, method string
		want          bool
	}{
		{"mcp:*", "tools/call", true},
		{"mcp:tools/*", "tools/call", true},
		{"mcp:tools/*", "tools/list", true},
		{"mcp:tools/call", "tools/call", true},
		{"mcp:tools/call", "tools/list", false},
		{"mcp:tools/*", "prompts/list", false},
		{"mcp:tools", "tools/call", false},
		{"mcp:", "tools/call", false},
		{"mcp", "tools/call", false},
		{"*", "tools/call", false},
		{"infer:*", "tools/call", false},
		{"mcpx:*", "tools/call", false},
		{"MCP:*", "tools/call", false},
		{"", "tools/call", false},
	} {
		if got := Covers([]string{"other", tt.scope}, rpc.MCP, tt.method); got != tt.want {
			t.Errorf("%q for %s: %v", tt.scope, tt.method, got)
		}
	}
	g := newGate(t, &config.Auth{Scopes: []string{"infer:*", "mcp:tools/*"}})
	for method, want := range map[string]string{"tools/call": "mcp:tools/*", "prompts/get": "mcp:prompts/get"} {
		err := rpc.AsError(g.Unscoped(callWith(), method))
		if got := err.Data.(map[string]any)["scopes"].([]string); err.Code != rpc.Forbidden || len(got) != 1 || got[0] != want {
			t.Errorf("%s asks for %q, want %s", method, got, want)
		}
	}
}
