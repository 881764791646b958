package http1

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Server serves HTTP/1.1 on the connections of listeners. Its fields are set before it serves; its methods may be called
// by many goroutines at once.
type Server struct {
	Handler http.Handler
	// Refuse answers a request that cannot be served, and says why; its connection ends after the answer.
	Refuse func(w http.ResponseWriter, status int, why string)
	// Base is what the contexts of requests derive from.
	Base context.Context //nolint:containedctx // as in net/http, requests begin here
	Log  *slog.Logger

	HeadTimeout  time.Duration // from a head's first byte, or a connection's beginning, to the head's end
	IdleTimeout  time.Duration // from an answer to the next request; it may be up to an eighth less
	WriteTimeout time.Duration // of what is written without a deadline of the handler's
	MaxHead      int           // bytes of a head, its request line included

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	closing   bool
	empty     chan struct{} // closed when the last connection of a server that shuts down has gone
	date      atomic.Pointer[date]
}

// Waits of the accept loop when the system has no more descriptors.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

// Serve accepts connections until the listener fails or the server ends, in which case it returns [http.ErrServerClosed].
func (s *Server) Serve(l net.Listener) error {
	if !s.hold(l) {
		_ = l.Close() // it serves nobody
		return http.ErrServerClosed
	}
	pause := minPause
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = minPause
			s.take(nc)
		case s.ended():
			return http.ErrServerClosed
		case isPassing(err):
			s.Log.Warn("no connection can be accepted", "error", err, "again_in", pause)
			time.Sleep(pause)
			pause = min(2*pause, maxPause)
		default:
			return err
		}
	}
}

// passing are the errors after which accepting may work again: descriptors and memory come back when other connections
// end, and a client that left before it was accepted says nothing of the next one.
var passing = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED}

func isPassing(err error) bool {
	return slices.ContainsFunc(passing, func(p error) bool { return errors.Is(err, p) })
}

// hold remembers a listener, to close it.
func (s *Server) hold(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	if s.listeners == nil {
		s.listeners = map[net.Listener]struct{}{}
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// take serves a connection on a goroutine of its own. One that comes as the server shuts down is served too: its client
// was connected before that.
func (s *Server) take(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		s.conns = map[*conn]struct{}{}
	}
	s.conns[c] = struct{}{}
	if s.closing {
		c.retire()
	}
	go c.serve()
}

// leave forgets a connection that has ended, or is somebody else's.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.empty != nil && len(s.conns) == 0 {
		close(s.empty)
		s.empty = nil
	}
}

// Shutdown closes the listeners and waits until every request has been answered. Connections end with their answers, idle
// ones a moment later, since a request may be on its way. It returns the cause of ctx if that ends first.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.refuse()
	s.mu.Lock()
	var empty chan struct{}
	if len(s.conns) > 0 {
		if s.empty == nil {
			s.empty = make(chan struct{})
		}
		empty = s.empty
	}
	for c := range s.conns {
		c.retire()
	}
	s.mu.Unlock()
	if empty == nil {
		return err
	}
	select {
	case <-empty:
		return err
	case <-ctx.Done():
		return errors.Join(err, context.Cause(ctx))
	}
}

// Close closes the listeners and all connections, whatever goes on there.
func (s *Server) Close() error {
	err := s.refuse()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.nc.Close() // there is nothing to be done about a connection that cannot even be closed
	}
	return err
}

// refuse takes no more connections.
func (s *Server) refuse() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	var errs []error
	for l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
		delete(s.listeners, l)
	}
	return errors.Join(errs...)
}
