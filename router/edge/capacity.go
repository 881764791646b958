package edge

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/cpu"

	"github.com/headgate/headgate/rpc"
)

// overloadPause is when a client that was refused for want of capacity may try again.
const overloadPause = time.Second

// capacity counts the calls in flight in the whole process. All calls write it, so it
// has a cache line to itself.
type capacity struct {
	_      cpu.CacheLinePad
	flying atomic.Int64
	_      cpu.CacheLinePad
}

// InFlight returns how many calls have no answer yet.
func (e *Edge) InFlight() int64 { return e.capacity.flying.Load() }

// enter counts a call, if there is room for one more. Streams that stand open are no
// calls: whoever keeps them bounds them.
func (t *turn) enter(c *rpc.Call) error {
	if !c.Message.IsRequest() || c.Method.Name == t.speech.standing {
		return nil
	}
	if t.capacity.flying.Add(1) > int64(t.cfg().Capacity) {
		t.capacity.flying.Add(-1)
		err := rpc.Errorf(rpc.Overloaded, "the gateway has %d calls in flight already", t.cfg().Capacity)
		err.RetryAfter, err.NotRun = overloadPause, true
		return err
	}
	t.counted = true
	return nil
}

// leave makes room for another call.
func (t *turn) leave() {
	if t.counted {
		t.counted = false
		t.capacity.flying.Add(-1)
	}
}
