package auth

import (
	"context"
	"strings"

	"github.com/headgate/headgate/rpc"
)

// A scope names the methods it is good for: dialect, colon, method. A * at its end
// stands for any rest: mcp:* is all of MCP, mcp:tools/* is tools/list and tools/call.

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

// unscoped are methods that every client needs to speak at all.
func unscoped(method string) bool {
	switch method {
	case "initialize", "ping", "server/discover", "logging/setLevel":
		return true
	}
	return strings.HasPrefix(method, "notifications/") || strings.HasPrefix(method, "session/")
}

// Scoped lets a call pass only if a scope of its principal is good for its method. It
// belongs behind [Gate.Authenticate].
func (g *Gate) Scoped(next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if !unscoped(c.Method.Name) && !Covers(c.Principal.Scopes, c.Dialect, c.Method.Name) {
			return nil, g.Insufficient(c, g.needed(c.Dialect, c.Method.Name))
		}
		return next.Handle(ctx, c)
	})
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
