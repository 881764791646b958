package edge

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Clients keep connections for their next request, and a connection that the server closes may carry one at that very
// moment, which is lost. So the clients are asked to close it themselves, with an answer that they get anyhow, and
// connections are closed only when no request has come for a while.

const (
	// stillness is how long no request may come until connections without one are taken to be unused.
	stillness = 250 * time.Millisecond
	// lastWord is how long clients get to take the errors of calls that were given up.
	lastWord = time.Second
)

var closeValue = []string{"close"}

// departure is whether the edge asks clients to leave, and when one was last asked.
type departure struct {
	begun atomic.Bool
	last  atomic.Int64 // in nanoseconds of Unix time
}

// Leave makes each answer from now on the last one of its connection: HTTP/1.1 has a header for it (RFC 9112 §9.6), of
// which net/http makes a GOAWAY in HTTP/2 (RFC 9113 §6.8). Everything is still served.
func (e *Edge) Leave() {
	e.departure.last.Store(time.Now().UnixNano())
	e.departure.begun.Store(true)
}

// Still waits until no request has come for a quarter of a second after [Edge.Leave], or ctx ends. Clients whose
// connections are in use have left those by then, and others are not about to send anything, as far as anybody can know.
func (e *Edge) Still(ctx context.Context) {
	for {
		wait := stillness - time.Since(time.Unix(0, e.departure.last.Load()))
		if wait <= 0 {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// sendOff asks the client to leave with this answer, where clients are to leave.
func (x *exchange) sendOff() {
	if x.departure.begun.Load() {
		x.departure.last.Store(time.Now().UnixNano())
		x.w.Header()["Connection"] = closeValue
	}
}

// errShutdown is why calls end that the gateway does not wait for any longer.
func errShutdown() *rpc.Error { return rpc.Errorf(rpc.Draining, "the gateway is shutting down") }

// giveUp cancels the modern calls of a connection. Those of its session are cancelled with all sessions.
func (d *dialogue) giveUp() {
	d.mu.Lock()
	cancels := make([]context.CancelCauseFunc, 0, len(d.calls))
	for _, cancel := range d.calls {
		cancels = append(cancels, cancel)
	}
	d.mu.Unlock()
	for _, cancel := range cancels {
		cancel(errShutdown())
	}
}
