package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/headgate/headgate/gateway/takeover"
)

// open opens a listener, or takes the one that was inherited.
func (g *Gateway) open(ctx context.Context, name, addr string) (net.Listener, error) {
	l, ok := g.inherited[name]
	delete(g.inherited, name)
	switch {
	case ok && listensOn(ctx, l.Addr(), addr):
		g.listeners[name] = l
		return l, nil
	case ok:
		g.log.Warn("the listener that was inherited is at another address", "listener", name, "inherited", l.Addr().String(), "configured", addr)
		_ = l.Close() // who connects there is refused from now on, as is configured
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w; is another gateway running? --takeover takes its place, --%s chooses another address", name, addr, err, flagOf(name))
	}
	g.listeners[name] = l
	return l, nil
}

// listensOn reports whether a listener is where the configuration wants it. Port 0 is any.
func listensOn(ctx context.Context, has net.Addr, wanted string) bool {
	at, ok := has.(*net.TCPAddr)
	host, service, err := net.SplitHostPort(wanted)
	if !ok || err != nil {
		return false
	}
	if port, err := net.DefaultResolver.LookupPort(ctx, "tcp", service); err != nil || port != 0 && port != at.Port {
		return false
	}
	if host == "" {
		return at.IP.IsUnspecified()
	}
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	return err == nil && slices.ContainsFunc(addresses, func(a net.IPAddr) bool {
		return a.IP.Equal(at.IP) || a.IP.IsUnspecified() && at.IP.IsUnspecified()
	})
}

// Sockets returns the listening sockets, for a process that takes over or for this one to serve on. They are the
// caller's to close, and last when the gateway has stopped. It may be called after [Gateway.Start].
func (g *Gateway) Sockets() (takeover.Sockets, error) {
	out := takeover.Sockets{}
	for name, l := range g.listeners {
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", name, err), out.Close())
		}
		out[name] = file
	}
	return out, nil
}

func flagOf(listener string) string {
	if listener == adminListener {
		return "admin-listen"
	}
	return "listen"
}

// probes is how many times TCP asks a client whether it is there.
const probes = 3

// attentive is a listener whose connections end when nothing is heard of the client's machine for a quarter longer than
// one write may take: neither answers to keep-alive probes while nothing is sent, nor acknowledgements of what
// is (RFC 9293 §3.8.4, RFC 5482), whose time begins with the next heartbeat. Otherwise a client that lost its power
// would hold a connection for a quarter of an hour, which is how long a system goes on sending.
type attentive struct {
	net.Listener
	keepAlive net.KeepAliveConfig
	giveUp    time.Duration
}

func newAttentive(l net.Listener, slowReader time.Duration) *attentive {
	return &attentive{
		Listener: l, giveUp: slowReader + slowReader/4,
		keepAlive: net.KeepAliveConfig{Enable: true, Idle: max(slowReader/2, time.Second), Interval: max(slowReader/4, time.Second), Count: probes},
	}
}

// Accept implements [net.Listener].
func (l *attentive) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok && err == nil {
		_ = tcp.SetKeepAliveConfig(l.keepAlive) // fails only where the client has gone already, or the system knows no such thing
		_ = setUserTimeout(tcp, l.giveUp)       // likewise
	}
	return c, err
}
