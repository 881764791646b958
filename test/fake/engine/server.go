package engine

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Server is an engine on a port.
type Server struct {
	*Engine
	URL string // of its root; OpenAI's API is below /v1

	addr    string
	handler http.Handler
	mu      sync.Mutex
	http    *http.Server // nil: killed
}

// Listen starts an engine on an address, such as "127.0.0.1:0", with its [Control].
func Listen(ctx context.Context, addr string, c Config) (*Server, error) {
	e := New(c)
	s := &Server{Engine: e, handler: Control(e)}
	if err := s.listen(ctx, addr); err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.die = s.Kill
	e.mu.Unlock()
	return s, nil
}

// Start starts an engine on a free port of loopback and kills it when the test ends.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	s, err := Listen(t.Context(), "127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

func (s *Server) listen(ctx context.Context, addr string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	server := newHTTP(s.handler)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addr, s.http = listener.Addr().String(), server
	s.URL = "http://" + s.addr
	go func() { _ = server.Serve(listener) }() // always ErrServerClosed, after Kill
	return nil
}

func newHTTP(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
}

// Kill closes the port and all connections. What was computed is aborted, as if the clients had left: a real engine's work is lost.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil {
		_ = s.http.Close() // the port was ours
		s.http = nil
	}
}

// Restart brings a killed server back on its port, with its models cold.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	alive, addr := s.http != nil, s.addr
	s.mu.Unlock()
	if alive {
		return errors.New("the engine is running")
	}
	for _, name := range s.config.Models {
		s.Unload(name)
	}
	return s.listen(ctx, addr)
}

// Dial connects to the engine through a pipe in memory, whatever the address, so that both ends can live in one bubble of
// testing/synctest: the engine serves the connection until the client closes it. It is made for [net/http.Transport].
func (e *Engine) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	server := newHTTP(e)
	listener := &single{conn: far, closed: make(chan struct{})}
	server.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed || state == http.StateHijacked {
			_ = listener.Close() // never fails
		}
	}
	go func() { _ = server.Serve(listener) }() // until the connection is closed
	return near, nil
}

// single is a listener with one connection.
type single struct {
	mu     sync.Mutex
	conn   net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *single) Accept() (net.Conn, error) {
	l.mu.Lock()
	conn := l.conn
	l.conn = nil
	l.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *single) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *single) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "engine" }
