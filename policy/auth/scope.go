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
	return string(dialect) + ":" + method
}
