package takeover

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a path for a socket, which must be short.
func place(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "takeover.sock")
}

// open returns a listening socket and what it is offered as.
func open(t *testing.T) (net.Listener, Sockets) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	return l, Sockets{"clients": f}
}

func offer(t *testing.T, path string, s Sockets) *Offer {
	t.Helper()
	o, err := NewOffer(t.Context(), path, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

func ask(t *testing.T, path string) *Successor {
	t.Helper()
	s, err := Ask(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// inherited returns the successor's listener.
func inherited(t *testing.T, s *Successor) net.Listener {
	t.Helper()
	all, err := s.Listeners()
	if err != nil || all["clients"] == nil || len(all) != 1 {
		t.Fatalf("got %v, %v", all, err)
	}
	t.Cleanup(func() { _ = all["clients"].Close() })
	return all["clients"]
}

// A connection that was made while nobody accepted is accepted by the successor, and so are those after the predecessor
// has gone.
func TestSuccessorHasTheQueue(t *testing.T) {
	path := place(t)
	old, sockets := open(t)
	o := offer(t, path, sockets)
	waits, err := net.Dial("tcp", old.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer waits.Close() //nolint:errcheck // the test is over
	s := ask(t, path)
	mine := inherited(t, s)
	awaited := make(chan error, 1)
	go func() { awaited <- s.Await(t.Context()) }()
	h := <-o.Asked()
	if h.PID != os.Getpid() && h.PID != 0 {
		t.Errorf("the successor is %d", h.PID)
	}
	select {
	case <-awaited:
		t.Error("the state was given away before the predecessor said so")
	default:
	}
	_ = old.Close()
	finished := make(chan error, 1)
	go func() { finished <- h.Finish(t.Context()) }()
	if err := <-awaited; err != nil {
		t.Fatal(err)
	}
	s.Serving()
	if err := <-finished; err != nil {
		t.Error(err)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.WriteString(waits, "hello"); err != nil {
		t.Fatal(err)
	}
	c, err := mine.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // the test is over
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); string(got) != "hello" {
		t.Errorf("heard %q, %v", got, err)
	}
	late, err := net.Dial("tcp", mine.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = late.Close()
}

// A predecessor that passed its sockets on accepts as before: they are not made blocking.
func TestPredecessorServesOnUntilItIsAsked(t *testing.T) {
	path := place(t)
	old, sockets := open(t)
	offer(t, path, sockets)
	ask(t, path)
	go func() {
		time.Sleep(time.Millisecond)
		_ = old.Close()
	}()
	if _, err := old.Accept(); !errors.Is(err, net.ErrClosed) { // one that blocks in the system is not woken
		t.Error(err)
	}
}

func TestSuccessorThatFailsLeavesThePredecessorServing(t *testing.T) {
	path := place(t)
	_, sockets := open(t)
	o := offer(t, path, sockets)
	ask(t, path).Close() //nolint:errcheck // it gives up before it is ready
	s := ask(t, path)
	go func() { _ = s.Await(t.Context()) }()
	h := <-o.Asked()
	finished := make(chan error, 1)
	go func() { finished <- h.Finish(t.Context()) }()
	_ = s.Close()
	if err := <-finished; err == nil || !strings.Contains(err.Error(), "did not come up") {
		t.Errorf("finish: %v", err)
	}
	again := ask(t, path) // and another one may try
	go func() { _ = again.Await(t.Context()) }()
	(<-o.Asked()).end()
}

// A predecessor that ends in the middle keeps nothing.
func TestPredecessorThatEndsLeavesEverything(t *testing.T) {
	path := place(t)
	_, sockets := open(t)
	o := offer(t, path, sockets)
	s := ask(t, path)
	mine := inherited(t, s)
	awaited := make(chan error, 1)
	go func() { awaited <- s.Await(t.Context()) }()
	(<-o.Asked()).end()
	if err := <-awaited; err != nil {
		t.Error(err)
	}
	_ = o.Close()
	c, err := net.Dial("tcp", mine.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if _, err := Ask(t.Context(), path); !errors.Is(err, ErrNobody) {
		t.Errorf("whom nobody listens to answers: %v", err)
	}
}

func TestNobodyIsThere(t *testing.T) {
	if _, err := Ask(t.Context(), place(t)); !errors.Is(err, ErrNobody) {
		t.Errorf("got %v", err)
	}
}

// A successor's own offer takes the place of its predecessor's, whose end does not end it.
func TestOffersReplaceEachOther(t *testing.T) {
	path := place(t)
	_, first := open(t)
	_, second := open(t)
	old := offer(t, path, first)
	fresh := offer(t, path, second)
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	s := ask(t, path)
	go func() { _ = s.Await(t.Context()) }()
	(<-fresh.Asked()).end()
}

func TestSocketIsItsOwnersAlone(t *testing.T) {
	path := place(t)
	_, sockets := open(t)
	offer(t, path, sockets)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Whoever says something else gets nothing, and keeps nobody from asking.
func TestStrangersAreSentAway(t *testing.T) {
	path := place(t)
	_, sockets := open(t)
	o := offer(t, path, sockets)
	for _, text := range []string{"takeover 2\n", "GET / HTTP/1.1\r\n\r\n", strings.Repeat("x", 5000), "\n"} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, text)
		if got, _ := io.ReadAll(c); len(got) > 0 {
			t.Errorf("%.20q was told %q", text, got)
		}
		_ = c.Close()
	}
	s := ask(t, path)
	go func() { _ = s.Await(t.Context()) }()
	(<-o.Asked()).end()
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	path := place(t)
	_, sockets := open(t)
	o := offer(t, path, sockets)
	s := ask(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	awaited := make(chan error, 1)
	go func() { awaited <- s.Await(ctx) }()
	h := <-o.Asked()
	cancel()
	if err := <-awaited; !errors.Is(err, context.Canceled) {
		t.Errorf("await: %v", err)
	}
	done, over := context.WithCancel(t.Context())
	over()
	if err := h.Finish(done); err == nil {
		t.Error("it is taken to serve")
	}
}
