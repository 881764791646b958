package gateway

import (
	"context"
	"fmt"
	"net"
	"time"
)

// open opens a listener, or takes the one that was inherited.
func (g *Gateway) open(ctx context.Context, name, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w; is another gateway running? choose another address with --%s", name, addr, err, flagOf(name))
	}
	g.listeners[name] = l
	return l, nil
}

func flagOf(listener string) string {
	if listener == adminListener {
		return "admin-listen"
	}
	return "listen"
}

// probes is how many times TCP asks a client whether it is there.
const probes = 3

// attentive is a listener whose connections end when nothing is heard of the client's machine for half as long
// again as one write may take: neither answers to keep-alive probes while nothing is sent, nor acknowledgements of what
// is (RFC 9293 §3.8.4, RFC 5482). Otherwise a client that lost its power would hold a connection for a quarter of
// an hour, which is how long a system goes on sending.
type attentive struct {
	net.Listener
	keepAlive net.KeepAliveConfig
	giveUp    time.Duration
}

func newAttentive(l net.Listener, slowReader time.Duration) *attentive {
	return &attentive{
		Listener: l, giveUp: slowReader + slowReader/2,
		keepAlive: net.KeepAliveConfig{Enable: true, Idle: max(slowReader/2, time.Second), Interval: max(slowReader/probes, time.Second), Count: probes},
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
