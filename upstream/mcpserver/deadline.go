package mcpserver

import (
	"errors"
	"time"

	"github.com/headgate/headgate/rpc"
)

// A call ends when its upstream is silent for the time-out. Whatever the upstream says in the call shows that it
// works, progress above all, and begins that time anew; but no call takes longer than the longest time that is configured
// (MCP 2025-11-25, Lifecycle, Timeouts). What a client takes to answer questions counts for neither.

var (
	// errIdle is the cause of cancelling a call whose upstream was silent for too long.
	errIdle = errors.New("no message arrived in time")
	// errEndless is the cause of cancelling a call that takes too long in all.
	errEndless = errors.New("the call was not answered in the longest time that calls may take")
)

// stopwatch measures how long an upstream has had for a call.
type stopwatch struct {
	began  time.Time
	paused time.Time     // since when the client is being asked something; zero if it is not
	waited time.Duration // for the client
}

func (w *stopwatch) pause() {
	if w.paused.IsZero() {
		w.paused = time.Now()
	}
}

func (w *stopwatch) resume() {
	if !w.paused.IsZero() {
		w.waited += time.Since(w.paused)
		w.paused = time.Time{}
	}
}

func (w *stopwatch) spent() time.Duration {
	if !w.paused.IsZero() {
		return w.paused.Sub(w.began) - w.waited
	}
	return time.Since(w.began) - w.waited
}

// resume goes on with the time that another request of the same call has had.
func (x *exchange) resume(from *exchange) {
	from.mu.Lock()
	watch := from.watch
	from.mu.Unlock()
	x.mu.Lock()
	x.watch = watch
	x.mu.Unlock()
}

// allowed returns how long the upstream may be silent in a call, and how long that may take in all: as the routing rule says
// that it matches, else as the upstream's configuration does.
func (s *Server) allowed(x *exchange) (silence, most time.Duration) {
	silence, most = s.cfg.Timeout, s.cfg.MaxTimeout
	if r := x.call.Route; r != nil {
		if r.Timeout > 0 {
			silence, most = r.Timeout, max(most, r.Timeout)
		}
		if r.MaxTimeout > 0 {
			most = r.MaxTimeout
		}
	}
	return min(silence, most), most
}

// pause returns how long the upstream may be silent from now on.
func (s *Server) pause(x *exchange) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	silence, most := s.allowed(x)
	return min(silence, most-x.watch.spent())
}

// grace returns how much longer to wait for an upstream that was silent for as long as
// it may, or why no longer. The time that a client takes to answer a question is not the
// upstream's.
func (s *Server) grace(x *exchange) (time.Duration, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	silence, most := s.allowed(x)
	left := most - x.watch.spent()
	if left <= 0 {
		return 0, errEndless
	}
	if len(x.asked) > 0 || x.patient {
		return min(silence, left), nil
	}
	idle := silence - time.Since(x.answered)
	if idle <= 0 {
		return 0, errIdle
	}
	return min(idle, left), nil
}

// endless reports whether a call has taken all the time it may.
func (s *Server) endless(x *exchange) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, most := s.allowed(x)
	return !x.own && x.watch.spent() >= most
}

// overdue makes the error for a call that was not waited for any longer.
func (s *Server) overdue(x *exchange, cause error) *rpc.Error {
	silence, most := s.allowed(x)
	if errors.Is(cause, errEndless) {
		return s.fault.timedOut(cause, "took longer than %v", most)
	}
	return s.fault.timedOut(cause, "sent nothing for %v", silence)
}
