package policy

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/headgate/headgate/rpc"
)

// Origins says which web pages may use the gateway, and under which names it may be
// reached. A page that is allowed nowhere else must not reach a gateway on the
// visitor's own machine by a name that was made to resolve there (DNS rebinding).
type Origins struct {
	Allowed  []string // exact origins, such as "https://app.example.com"
	Loopback bool     // the gateway listens on loopback: loopback origins only, and loopback hosts
}

// Origin refuses calls whose Origin or Host is not allowed (MCP 2025-11-25,
// Streamable HTTP, Security Warning). Clients that are no browsers send no Origin.
func Origin(o Origins) rpc.Middleware {
	return func(next rpc.Handler) rpc.Handler {
		return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			if err := o.check(c); err != nil {
				return nil, err
			}
			return next.Handle(ctx, c)
		})
	}
}

func (o Origins) check(c *rpc.Call) error {
	if o.Loopback && !isLoopbackHost(c.Host) {
		return rpc.Errorf(rpc.OriginRefused, "host %s is not a name of this gateway, which listens on loopback only", rpc.Excerpt(c.Host))
	}
	origins := c.Header["Origin"]
	switch {
	case len(origins) == 0:
		return nil
	case len(origins) > 1:
		return rpc.Errorf(rpc.OriginRefused, "more than one Origin header")
	case o.Allows(origins[0]):
		return nil
	}
	return rpc.Errorf(rpc.OriginRefused, "origin %s is not allowed; allowed_origins in the configuration lists those that are", rpc.Excerpt(origins[0]))
}

// Allows reports whether pages of an origin may use the gateway. Origins are compared
// exactly: browsers send them in one spelling only.
func (o Origins) Allows(origin string) bool {
	if slices.Contains(o.Allowed, origin) {
		return true
	}
	if !o.Loopback || origin != strings.ToLower(origin) {
		return false
	}
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && origin == u.Scheme+"://"+u.Host && isLoopbackHost(u.Host)
}

// isLoopbackHost reports whether a host, with or without a port, means this machine
// wherever it is looked up.
func isLoopbackHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if strings.EqualFold(name, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.IsLoopback()
}
