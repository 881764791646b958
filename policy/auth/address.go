package auth

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// maxHops bounds the proxies that are followed back.
const maxHops = 32

// Proxies are the networks of proxies in front of the gateway. Only what they say of
// who is behind them counts.
type Proxies []netip.Prefix

// NewProxies reads addresses and networks as the configuration has them.
func NewProxies(networks []string) (Proxies, error) {
	out := make(Proxies, 0, len(networks))
	for _, text := range networks {
		p, err := config.ParseNetwork(text)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// Client makes the address of a call that of the client, where the connection is a
// proxy's. It belongs before everything that looks at addresses.
func (p Proxies) Client(next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if p.has(c.Remote.Addr()) {
			if client := p.behind(c.Remote.Addr(), c.Header); client != c.Remote.Addr() {
				c.Remote = netip.AddrPortFrom(client, 0)
			}
		}
		return next.Handle(ctx, c)
	})
}

func (p Proxies) has(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(a) })
}

// behind returns the last address that a trusted proxy vouches for. X-Forwarded-For is
// read from its end, where the nearest proxy wrote; what stands before the first
// address that is no proxy of ours anybody can have written.
func (p Proxies) behind(peer netip.Addr, h http.Header) netip.Addr {
	at := peer
	hops := 0
	for _, line := range slices.Backward(h["X-Forwarded-For"]) {
		for line != "" && hops < maxHops {
			hops++
			var last string
			if i := strings.LastIndexByte(line, ','); i >= 0 {
				line, last = line[:i], line[i+1:]
			} else {
				line, last = "", line
			}
			next, ok := parseHop(last)
			if !ok {
				return at
			}
			if at = next; !p.has(at) {
				return at
			}
		}
	}
	return at
}

// parseHop reads one element: an address, which some proxies write with a port.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return a.Unmap().WithZone(""), err == nil
}
