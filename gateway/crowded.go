package gateway

import (
	"log/slog"
	"net"
	"sync"
	"time"
)

// crowded is a listener that accepts no more than so many connections at a time. Clients must not be able to use up the
// descriptors of the process: what is left of them is for upstreams, files, and operators who ask what is going on. Those that
// come too many wait to be accepted until others have gone.
type crowded struct {
	net.Listener
	room   chan struct{} // holds an element for each connection that is open
	closed chan struct{}
	once   sync.Once
	log    *slog.Logger

	complained time.Time // used by the one who accepts
}

// complaints is how often it is said that the gateway is full, at most.
const complaints = time.Second

// newCrowded returns l itself where the system names no bound.
func newCrowded(l net.Listener, log *slog.Logger) net.Listener {
	descriptors := maxDescriptors()
	if descriptors <= 0 {
		return l
	}
	return &crowded{Listener: l, room: make(chan struct{}, max(1, descriptors/2)), closed: make(chan struct{}), log: log}
}

// Accept implements [net.Listener].
func (l *crowded) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	default:
		if now := time.Now(); now.Sub(l.complained) >= complaints {
			l.complained = now
			l.log.Warn("no more connections are accepted until some end: half of the descriptors that the system allows are in use by clients",
				"connections", cap(l.room), "fix", "raise the limit on open files (ulimit -n, LimitNOFILE)")
		}
		select {
		case l.room <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
	c, err := l.Listener.Accept()
	tcp, ok := c.(*net.TCPConn)
	if err != nil || !ok {
		<-l.room
		return c, err
	}
	return &numbered{TCPConn: tcp, room: l.room}, nil
}

// Close implements [net.Listener].
func (l *crowded) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// numbered is a connection that makes room when it is closed.
type numbered struct {
	*net.TCPConn
	room <-chan struct{}
	once sync.Once
}

// Close implements [net.Conn].
func (c *numbered) Close() error {
	c.once.Do(func() { <-c.room })
	return c.TCPConn.Close()
}
