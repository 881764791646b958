package upstream_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/upstream"
)

func endpoint(tb testing.TB, rawURL string, fixed ...upstream.Field) *upstream.Endpoint {
	tb.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		tb.Fatal(err)
	}
	e, err := upstream.NewEndpoint(u, fixed)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func post(tb testing.TB, rawURL, body string) *upstream.Request {
	tb.Helper()
	return &upstream.Request{Method: "POST", Endpoint: endpoint(tb, rawURL), Body: []byte(body)}
}

func newClient(tb testing.TB, cfg upstream.ClientConfig) *upstream.Client {
	tb.Helper()
	c := upstream.NewClient(cfg)
	tb.Cleanup(c.CloseIdle)
	return c
}

// peer is one connection that a scripted server has accepted.
type peer struct {
	net.Conn
	r *bufio.Reader
	n int // first, second, … connection
}

// request reads one whole request and returns its body; ok is false if the client has gone.
func (p *peer) request() (req *http.Request, body string, ok bool) {
	req, err := http.ReadRequest(p.r)
	if err != nil {
		return nil, "", false
	}
	all, err := io.ReadAll(req.Body)
	return req, string(all), err == nil
}

func (p *peer) send(s string) { _, _ = io.WriteString(p, s) }

// serve starts a TCP server that runs handle for each connection and closes it afterwards. The test ends when all have returned.
func serve(tb testing.TB, handle func(p *peer)) string {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	running.Go(func() {
		for n := 1; ; n++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[nc] = true
			mu.Unlock()
			running.Go(func() {
				defer nc.Close()
				handle(&peer{Conn: nc, r: bufio.NewReader(nc), n: n})
			})
		}
	})
	tb.Cleanup(func() {
		l.Close()
		mu.Lock()
		for nc := range open {
			nc.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return "http://" + l.Addr().String() + "/mcp"
}

// script is a connection in memory whose peer answers every write with the same bytes, a few at a time. It is none that the
// system knows, so that the client's portable paths are taken.
type script struct {
	answer string
	size   int  // bytes per read
	eof    bool // close after an answer

	mu      sync.Mutex
	rest    string
	closed  bool
	overdue bool
	change  chan struct{}
}

func newScript(answer string, size int, eof bool) *script {
	return &script{answer: answer, size: size, eof: eof, change: make(chan struct{})}
}

func (s *script) update(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.change)
	s.change = make(chan struct{})
}

func (s *script) Read(p []byte) (int, error) {
	for {
		s.mu.Lock()
		change := s.change
		n := copy(p, s.rest[:min(s.size, len(s.rest))])
		s.rest = s.rest[n:]
		eof, closed, overdue := s.eof, s.closed, s.overdue
		s.mu.Unlock()
		switch {
		case closed:
			return 0, net.ErrClosed
		case n > 0:
			return n, nil
		case eof:
			return 0, io.EOF
		case overdue:
			return 0, os.ErrDeadlineExceeded
		}
		<-change
	}
}

func (s *script) Write(p []byte) (int, error) {
	s.update(func() { s.rest = s.answer })
	return len(p), nil
}

func (s *script) Close() error {
	s.update(func() { s.closed = true })
	return nil
}

func (s *script) SetReadDeadline(t time.Time) error {
	s.update(func() { s.overdue = !t.IsZero() && t.Before(time.Now()) })
	return nil
}

func (*script) SetDeadline(time.Time) error      { return nil }
func (*script) SetWriteDeadline(time.Time) error { return nil }
func (*script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// dialing returns a dialer that makes connections by f and counts them.
func dialing(f func() net.Conn) (dial func(context.Context, string, string) (net.Conn, error), count *int) {
	count = new(int)
	return func(context.Context, string, string) (net.Conn, error) {
		*count++
		return f(), nil
	}, count
}
