package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Fault is what is wrong with a link. The zero value is a link that nothing is wrong with.
type Fault struct {
	Latency time.Duration // each piece comes so much later, each way
	Rate    int           // bytes a second, each way of each connection; 0 is as fast as it goes
	CutUp   int64         // a connection is reset when so many bytes have come from its client; 0 is never
	CutDown int64         // or so many have gone to its client; 0 is never
	Refuse  bool          // new connections are reset
	Hold    bool          // connections are accepted, and nothing passes, not even their end: a black hole
	Silent  bool          // packets are lost, those of new connections too: half-open for those that stand, a partition for others
}

// Link forwards TCP connections from its address to another. Its methods may be called concurrently.
type Link struct {
	listener *net.TCPListener
	target   string
	work     sync.WaitGroup
	accepted atomic.Int64

	mu      sync.Mutex
	fault   Fault
	changed chan struct{} // closed with the next change
	pairs   map[*pair]struct{}
	closed  bool
}

// New returns a link to an address, on a free port of 127.0.0.1.
func New(ctx context.Context, target string) (*Link, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // whose sockets take no filters
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	k := &Link{listener: l.(*net.TCPListener), target: target, changed: make(chan struct{}), pairs: map[*pair]struct{}{}}
	k.work.Go(k.accept)
	return k, nil
}

// Start is [New] for a test, with which the link ends.
func Start(t testing.TB, target string) *Link {
	t.Helper()
	l, err := New(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// Addr is where clients connect.
func (l *Link) Addr() string { return l.listener.Addr().String() }

// Set changes what is wrong. Connections that are open change with it, but bytes they have passed are counted from their
// beginning. The only error is that of a system that cannot lose packets.
func (l *Link) Set(f Fault) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	var errs []error
	if f.Silent != l.fault.Silent {
		errs = append(errs, silence(l.listener, f.Silent))
		for p := range l.pairs {
			errs = append(errs, p.silence(f.Silent))
		}
	}
	l.fault = f
	close(l.changed)
	l.changed = make(chan struct{})
	return errors.Join(errs...)
}

// Heal is Set with nothing wrong.
func (l *Link) Heal() error { return l.Set(Fault{}) }

// Reset ends all connections that are open with a reset to both sides.
func (l *Link) Reset() {
	for _, p := range l.open() {
		p.reset()
	}
}

// Open is how many connections are open.
func (l *Link) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pairs)
}

// Accepted is how many connections there have been, refused ones included.
func (l *Link) Accepted() int64 { return l.accepted.Load() }

// Close ends the link and its connections, and returns when nothing of it runs.
func (l *Link) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	_ = l.listener.Close() // it is closed already when Close is called again
	l.Reset()
	l.work.Wait()
}

// now returns what is wrong, and what is closed when that changes.
func (l *Link) now() (Fault, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault, l.changed
}

func (l *Link) open() []*pair {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*pair, 0, len(l.pairs))
	for p := range l.pairs {
		out = append(out, p)
	}
	return out
}

func (l *Link) accept() {
	for {
		client, err := l.listener.AcceptTCP()
		if err != nil {
			return
		}
		l.accepted.Add(1)
		l.work.Go(func() { l.connect(client) })
	}
}

// connect carries one connection to its end.
func (l *Link) connect(client *net.TCPConn) {
	if f, _ := l.now(); f.Refuse {
		drop(client)
		return
	}
	conn, err := net.Dial("tcp", l.target)
	if err != nil {
		drop(client) // as the target would have done
		return
	}
	p := &pair{link: l, client: client, server: conn.(*net.TCPConn), gone: make(chan struct{})}
	if !l.add(p) {
		p.reset()
		return
	}
	var ways sync.WaitGroup
	ways.Go(func() { p.carry(p.client, p.server, func(f Fault) int64 { return f.CutUp }) })
	ways.Go(func() { p.carry(p.server, p.client, func(f Fault) int64 { return f.CutDown }) })
	ways.Wait()
	p.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pairs, p)
}

// add makes a connection known, so that it changes with the link.
func (l *Link) add(p *pair) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.pairs[p] = struct{}{}
	return p.silence(l.fault.Silent) == nil // sockets take after their listener, which may have changed since
}
