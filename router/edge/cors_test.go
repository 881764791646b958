package edge_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/headgate/headgate/router/edge"
)

const page = "https://app.example.com"

func browsers() setup {
	return setup{edge: edge.Config{AllowOrigin: func(origin string) bool { return origin == page }}}
}

func TestCorner5_32_PreflightOfAllowedPages(t *testing.T) {
	t.Parallel()
	g := open(t, browsers())
	var params []string
	for i := range 100 {
		params = append(params, fmt.Sprintf("mcp-param-%d", i))
	}
	tests := []struct {
		name      string
		requested string
		extra     []string // beyond the fixed ones
	}{
		{"nothing special", "content-type, mcp-protocol-version", nil},
		{"parameters", "content-type,mcp-param-region, Mcp-Param-Tenant-Id", []string{"mcp-param-region", "mcp-param-tenant-id"}},
		{"others are not reflected", "x-evil, cookie, mcp-parameter, mcp-param", nil},
		{"names that are none", "mcp-param-a b, mcp-param-a\t, mcp-param-(", []string{"mcp-param-a"}},
		{"too many", strings.Join(params, ","), params[:64]},
		{"none asked for", "-", nil},
	}
	for _, tt := range tests {
		header := []string{"Origin", page, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", tt.requested}
		a := g.do("OPTIONS", "", header...)
		if a.status != http.StatusNoContent || a.body != "" {
			t.Errorf("%s: %d %q", tt.name, a.status, a.body)
		}
		want := strings.Join(append([]string{
			"authorization, x-api-key, content-type, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id, traceparent",
		}, tt.extra...), ", ")
		if got := a.header.Get("Access-Control-Allow-Headers"); got != want {
			t.Errorf("%s: headers %q, want %q", tt.name, got, want)
		}
		if got := a.header.Get("Access-Control-Allow-Origin"); got != page {
			t.Errorf("%s: origin %q", tt.name, got)
		}
		if got := a.header.Get("Access-Control-Allow-Methods"); got != "GET, POST, DELETE" {
			t.Errorf("%s: methods %q", tt.name, got)
		}
		if got := strings.Join(a.header.Values("Vary"), ", "); got != "Origin, Access-Control-Request-Headers" {
			t.Errorf("%s: vary %q", tt.name, got)
		}
		if a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: credentials are allowed", tt.name)
		}
	}
}

func TestCorner5_32_OtherPagesAreToldNothing(t *testing.T) {
	t.Parallel()
	g := open(t, browsers())
	for _, origin := range []string{"https://evil.example.com", "null", page + ".evil.com", strings.ToUpper(page), "http://app.example.com", page + ":8443"} {
		a := g.do("OPTIONS", "", "Origin", origin, "Access-Control-Request-Method", "POST")
		if a.status != http.StatusForbidden {
			t.Errorf("%s: preflight %d", origin, a.status)
		}
		b := g.do("POST", request("7", "x/y"), append(g.session(), "Origin", origin)...)
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: preflight has %s", origin, name)
			}
		}
		for name := range b.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: answer has %s", origin, name)
			}
		}
	}
}

// Pages may read every answer, refusals included, and the headers they need.
func TestCorner5_32_AllowedPagesMayReadAnswers(t *testing.T) {
	t.Parallel()
	g := open(t, browsers())
	bearer := append(g.session("Origin", page), "Origin", page)
	for name, a := range map[string]answer{
		"result":    g.do("POST", request("7", "x/y"), bearer...),
		"malformed": g.do("POST", "{", bearer...),
		"unknown":   g.do("POST", request("7", "x/y"), "Mcp-Session-Id", "x", "Origin", page),
		"no page":   g.do("POST", request("7", "x/y"), append(bearer, "Path", "/nothing")...),
		"verb":      g.do("PUT", "", bearer...),
		"accepted":  g.do("POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, bearer...),
		"end":       g.do("DELETE", "", bearer...),
	} {
		if got := a.header.Get("Access-Control-Allow-Origin"); got != page {
			t.Errorf("%s: %d, origin %q", name, a.status, got)
		}
		if got := a.header.Get("Access-Control-Expose-Headers"); got != "Mcp-Session-Id, WWW-Authenticate, Retry-After" {
			t.Errorf("%s: exposed %q", name, got)
		}
		if a.header.Get("Vary") != "Origin" {
			t.Errorf("%s: vary %q", name, a.header.Get("Vary"))
		}
	}
	if a := g.do("POST", request("7", "x/y"), g.session()...); a.header.Get("Vary") != "" {
		t.Errorf("a client that is no browser gets %v", a.header)
	}
}
