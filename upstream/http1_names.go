package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// resolveEvery is how often the name of a host is looked up while there are connections to it. Connections are kept long, so that without
// this a name could lead elsewhere for as long as there are calls, and nobody would notice.
const resolveEvery = 3 * time.Second

// names knows the addresses of one host that is called by a name.
type names struct {
	host     string
	resolver *net.Resolver
	pool     *pool // whose connections these are

	addrs atomic.Pointer[[]netip.Addr] // sorted; nil if they were not looked up yet
	used  atomic.Bool                  // since the last look

	mu    sync.Mutex
	timer *time.Timer
	ctx   context.Context //nolint:containedctx // of look-ups, which no call waits for
}

// newNames returns nil for a host that has no name but an address, and where the connections are made by somebody else.
func newNames(resolver *net.Resolver, addr string, p *pool) *names {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	return &names{host: host, resolver: resolver, pool: p}
}

// follow looks the name up again and again, as long as there are calls or idle connections. It is told of each call.
func (n *names) follow(ctx context.Context) {
	if n == nil || n.used.Load() {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.used.Store(true)
	if n.timer == nil {
		n.ctx = context.WithoutCancel(ctx)
		n.timer = time.AfterFunc(resolveEvery, n.look)
	}
}

// look looks the name up. As long as that fails the old addresses are as good as any.
func (n *names) look() {
	n.mu.Lock()
	ctx := n.ctx
	n.mu.Unlock()
	if addrs, err := n.lookup(ctx); err == nil {
		n.learn(addrs)
	}
	kept := n.pool.keeps()
	n.mu.Lock()
	defer n.mu.Unlock()
	if used := n.used.Swap(false); (used || kept) && n.timer != nil {
		n.timer.Reset(resolveEvery)
	} else {
		n.timer, n.ctx = nil, nil
	}
}

// learn takes addresses for those that the name leads to. Idle connections to others are closed.
func (n *names) learn(addrs []netip.Addr) {
	old := n.addrs.Load()
	if len(addrs) == 0 || old != nil && slices.Equal(addrs, *old) {
		return
	}
	n.addrs.Store(&addrs)
	n.pool.leave()
}

// reached is told of a new connection, before anything is sent on it. One to another address than is known shows that the name leads elsewhere
// now: from then on no call goes to where it led before. Otherwise sessions would be at one address and calls in them at both. If it leads
// to both, that is found out soon.
func (n *names) reached(c *conn) {
	known := n != nil && n.addrs.Load() != nil
	if n == nil || known && n.current(c) {
		return
	}
	remote, ok := c.wire.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return
	}
	n.learn([]netip.Addr{remote.AddrPort().Addr().Unmap().WithZone("")})
	n.mu.Lock()
	defer n.mu.Unlock()
	if known && n.timer != nil {
		n.timer.Reset(0)
	}
}

func (n *names) lookup(ctx context.Context) ([]netip.Addr, error) {
	if ctx == nil {
		return nil, net.ErrClosed // it was stopped just now
	}
	ctx, cancel := context.WithTimeout(ctx, resolveEvery)
	defer cancel()
	resolver := n.resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	addrs, err := resolver.LookupNetIP(ctx, "ip", n.host)
	for i := range addrs {
		addrs[i] = addrs[i].Unmap().WithZone("")
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs, err
}

// current reports whether the name still leads to the other end of a connection, as far as is known.
func (n *names) current(c *conn) bool {
	if n == nil {
		return true
	}
	remote, ok := c.wire.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return true
	}
	known := n.addrs.Load()
	return known == nil || slices.Contains(*known, remote.AddrPort().Addr().Unmap().WithZone(""))
}

// instead returns where to connect when the name cannot be looked up: where it led before.
func (n *names) instead(err error, addr string) (addrs []string) {
	var dns *net.DNSError
	if n == nil || !errors.As(err, &dns) {
		return nil
	}
	known := n.addrs.Load()
	if known == nil {
		return nil
	}
	_, port, _ := net.SplitHostPort(addr)
	for _, a := range *known {
		addrs = append(addrs, net.JoinHostPort(a.String(), port))
	}
	return addrs
}

// stop looks no further.
func (n *names) stop() {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.timer != nil {
		n.timer.Stop()
		n.timer, n.ctx = nil, nil
	}
}
