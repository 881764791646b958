//go:build unix

package upstream

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/headgate/headgate/rpc/socket"
)

// pair returns both ends of a TCP connection.
func pair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return near, far
}

// awaits returns once bytes from the far end have arrived.
func (c *conn) awaits(t *testing.T, state socket.State) {
	t.Helper()
	for c.socket.Look() != state {
		time.Sleep(time.Millisecond)
	}
}

// The sweep keeps those of the connections that were finished early whose answers have come to their end.
func TestSweepOfSettlingConnections(t *testing.T) {
	t.Parallel()
	p := &pool{most: 8, idle: time.Minute}
	t.Cleanup(p.drain)
	var kept *conn
	for _, rest := range []string{"", "0\r\n\r\n", "1\r\n"} {
		near, far := pair(t)
		c := newConn(near, near)
		p.push(c, framing{state: chunkSize}, 0)
		if rest != "" {
			io.WriteString(far, rest)
			c.awaits(t, socket.Readable)
		}
		if rest == "0\r\n\r\n" {
			kept = c
		}
	}
	p.sweep()
	if len(p.whole) != 1 || len(p.settling) != 0 || p.whole[0] != kept {
		t.Fatalf("%d whole, %d settling", len(p.whole), len(p.settling))
	}
	if p.pop() != kept || p.pop() != nil {
		t.Error("the kept connection does not serve")
	}
	kept.abort()
}

// Sweeps happen when they are due, whatever order connections come in.
func TestSweepIsScheduledForTheFirst(t *testing.T) {
	t.Parallel()
	p := &pool{most: 8, idle: time.Hour}
	t.Cleanup(p.drain)
	before := time.Now()
	for _, keepAlive := range []time.Duration{0, 10 * time.Second, 5 * time.Second, time.Minute} {
		near, _ := pair(t)
		p.push(newConn(near, near), framing{done: true}, keepAlive)
	}
	if wait := p.wake.Sub(before).Round(time.Second); wait != 4*time.Second {
		t.Errorf("sweep after %v", wait)
	}
	p.sweep() // early
	if wait := p.wake.Sub(before).Round(time.Second); wait != 4*time.Second || len(p.whole) != 4 {
		t.Errorf("sweep after %v, %d connections", wait, len(p.whole))
	}
}
