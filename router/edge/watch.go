package edge

import (
	"context"
	"math"
	"time"

	"github.com/headgate/headgate/rpc/frame"
)

// The one timer of an exchange looks after whatever the exchange waits for: a slow
// sender, a slow answer, the next heartbeat. It takes no goroutine until it fires.

// never is how long the timer runs before it is set.
const never = time.Duration(math.MaxInt64)

// await notes that the request is complete and that its answer is awaited. A quiet
// answer does not become a stream, however long it takes.
func (x *exchange) await(quiet bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.phase, x.quiet = waiting, quiet
	x.timer.Reset(x.cfg().Patience)
}

// mayStream says that the answer may become a stream by itself after all.
func (x *exchange) mayStream() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.quiet = false
}

// tick looks after the exchange. Where the lock is taken somebody writes, so that no
// heartbeat is missing.
func (x *exchange) tick() {
	again := x.cfg().Heartbeat
	var stop context.CancelCauseFunc
	if x.mu.TryLock() {
		again = x.look()
		if x.phase == streaming {
			stop = x.stop
		}
		x.mu.Unlock()
	}
	if stop != nil {
		x.recheck(stop)
	}
	if again > 0 {
		x.timer.Reset(again)
	}
}

// look does what is due and returns when to look again.
func (x *exchange) look() time.Duration {
	switch x.phase {
	case arriving:
		return x.lookAtSender()
	case waiting:
		if x.lookAtClient(); x.accepts.stream && !x.quiet && !x.isLost() {
			x.commit()
			x.beat()
		}
		return x.cfg().Heartbeat
	case streaming:
		if x.lookAtClient(); !x.isLost() {
			x.beat()
		}
		return x.cfg().Heartbeat
	case over:
	}
	return 0
}

// lookAtSender stops reading a body that does not get on.
func (x *exchange) lookAtSender() time.Duration {
	received := x.received.Load()
	switch {
	case x.whole.Load():
		return 0
	case received-x.checked < minProgress:
		_ = x.rc.SetReadDeadline(time.Unix(1, 0))
		return 0
	}
	x.checked = received
	return x.cfg().SlowSender
}

// beat writes a comment, so that nobody on the way takes a quiet stream for a dead
// one, and so that a dead one is noticed.
func (x *exchange) beat() {
	if x.lines {
		return // a line is an object
	}
	x.write(frame.AppendComment(nil, "hb"))
	x.flush()
}
