package auth

import (
	"strings"

	"github.com/headgate/headgate/rpc"
)

// A scope names the methods it is good for: dialect, colon, method. A * at its end
// stands for any rest: mcp:* is all of MCP, mcp:tools/* is tools/call, and
// what there is to call.

// Covers reports whether one of the scopes is good for a method of a dialect. It
// allocates nothing.
func Covers(scopes []string, dialect rpc.Dialect, method string) bool {
	for _, s := range scopes {
		rest, ok := strings.CutPrefix(s, string(dialect))
		if !ok || rest == "" || rest[0] != ':' {
			continue
		}
		rest = rest[1:]
		if rest == method {
			return true
		}
		if start, open := strings.CutSuffix(rest, "*"); open && strings.HasPrefix(method, start) {
			return true
		}
	}
	return false
}

// Unscoped is the answer to a call whose method none of its principal's scopes is good
// for.
func (g *Gate) Unscoped(c *rpc.Call, method string) error {
	return g.Insufficient(c, g.needed(c.Dialect, method))
}

// needed returns the scope to ask for: the first of those clients are told of that is
// good for the method, since authorization servers know these, or one for it alone.
func (g *Gate) needed(dialect rpc.Dialect, method string) string {
	for _, s := range g.resources.scopes {
		if Covers([]string{s}, dialect, method) {
			return s
		}
	}
	if !isScope(method) {
		return string(dialect) + ":*"
	}
	return string(dialect) + ":" + method
}

// longestScope is how long the name of a method may be that is told to a client as a scope.
const longestScope = 128

// isScope reports whether a method, which may be any text of a client's, can be a part
// of a scope (RFC 6749 §3.3). What can is also fit to stand in a header, in quotes.
func isScope(method string) bool {
	for i := range len(method) {
		if c := method[i]; c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return method != "" && len(method) <= longestScope
}
