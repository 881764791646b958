package auth

import (
	"strings"
	"testing"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// A method is any text of a client's; a challenge names it only where it can be a scope.
func TestT20_ChallengesHoldNoForeignText(t *testing.T) {
	t.Parallel()
	g := newGate(t, &config.Auth{Resource: "https://gateway.example.com", JWT: []config.JWT{{Issuer: "https://idp.example.com", Secret: "x"}}})
	const where = `Bearer error="insufficient_scope", resource_metadata="https://gateway.example.com/.well-known/oauth-protected-resource/mcp", scope="mcp:`
	for method, scope := range map[string]string{
		"vendor/thing": "vendor/thing", `x", realm="evil`: "*", "x\r\nSet-Cookie: a=b": "*", "\x1b[31m": "*", "a\u202eb": "*", `a\"b`: "*",
		"a b": "*", "": "*", strings.Repeat("x", 1<<20): "*",
	} {
		e := rpc.AsError(g.Unscoped(callWith(), method))
		if got := e.Header.Get("WWW-Authenticate"); got != where+scope+`"` {
			t.Errorf("%.40q: %.300s", method, got)
		}
		if strings.ContainsAny(e.Message, "\r\n\x1b\u202e") || len(e.Message) > 512 {
			t.Errorf("%.40q: %.300q", method, e.Message)
		}
	}
	for _, host := range []string{`a"b`, "a\r\nb", "a\x1bb", "a b", strings.Repeat("x", 1<<20)} {
		c := callWith()
		c.Host = host
		e := rpc.AsError(newGate(t, &config.Auth{JWT: []config.JWT{{Issuer: "https://idp.example.com", Secret: "x"}}}).missing(c))
		if got := e.Header.Get("WWW-Authenticate"); got != `Bearer realm="headgate"` || e.Code.String() != "unauthenticated" || len(e.Header) != 1 {
			t.Errorf("%.40q: %.300s", host, got)
		}
	}
}
