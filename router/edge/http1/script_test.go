package http1_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headgate/headgate/router/edge/http1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a connection whose client sends what is written here, in pieces of a size, and then closes its side.
type script struct {
	in    []byte
	piece int

	mu     sync.Mutex
	out    bytes.Buffer
	closed chan struct{}
	once   sync.Once
}

func (c *script) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.piece)], c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *script) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(p)
}

func (c *script) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (*script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*script) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (*script) SetDeadline(time.Time) error      { return nil }
func (*script) SetReadDeadline(time.Time) error  { return nil }
func (*script) SetWriteDeadline(time.Time) error { return nil }

// once is a listener that accepts one connection.
type once struct {
	conn   chan net.Conn
	closed chan struct{}
	end    sync.Once
}

func (l *once) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *once) Close() error {
	l.end.Do(func() { close(l.closed) })
	return nil
}

func (*once) Addr() net.Addr { return &net.TCPAddr{} }

// newServer returns a server whose refusals say what is wrong.
func newServer(tb testing.TB, handler http.Handler) *http1.Server {
	tb.Helper()
	return &http1.Server{
		Handler: handler, Base: tb.Context(), Log: slog.New(slog.DiscardHandler),
		Refuse: func(w http.ResponseWriter, status int, why string) {
			w.Header().Set("Refused", "yes")
			w.WriteHeader(status)
			fmt.Fprintln(w, why)
		},
		HeadTimeout: 10 * time.Second, IdleTimeout: time.Minute, WriteTimeout: 10 * time.Second, MaxHead: 8 << 10,
	}
}

// play has a stream of requests served, and returns what was answered.
func play(tb testing.TB, stream []byte, piece int, handler http.HandlerFunc) string {
	tb.Helper()
	s := newServer(tb, handler)
	c := &script{in: bytes.Clone(stream), piece: max(piece, 1), closed: make(chan struct{})}
	l := &once{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conn <- c
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	<-c.closed
	_ = s.Close()
	<-done
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String()
}
