package upstream

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// Admission lets so many calls run on an upstream at a time. Further ones wait in a bounded queue, in their callers'
// own goroutines: by bands of priority, and fairly among the tenants of a band. What could not be served in time is
// refused at once. Its methods may be called concurrently.
type Admission struct {
	kind     string // what the upstream is, in words
	upstream string
	limit    int64 // 0 for none; with a meter that says it
	meter    Meter // nil where a slot is a slot, and calls cost the time that they hold it
	bounds   config.Queue
	rank     Ranker

	flying  atomic.Int64 // slots that are taken
	waiting atomic.Int64 // calls in the queue; written under mu
	shed    [causes]atomic.Uint64

	mu    sync.Mutex
	queue queue
}

// Ranker says whose calls come first: the rule that concerns a caller. It is asked of calls that have to wait.
type Ranker func(*rpc.Principal) config.Priority

// NewAdmission returns the admission of an upstream.
func NewAdmission(u config.Upstream, rank Ranker) *Admission {
	return &Admission{kind: "upstream", upstream: u.Name, limit: int64(u.MaxInFlight), bounds: u.Queue, rank: rank, queue: newQueue(u.Queue.MaxWait)}
}

// Before makes calls wait for a slot before they go to next. They hold it until their response was seen or their reply
// is closed, however long that takes: a call that is parked while its client is asked something holds it too. Of a
// notification no end could be seen, and what the gateway asks for itself, such as lists, is little and must not wait for calls
// that wait for people: neither takes a slot. Without a limit Before returns next itself.
func (a *Admission) Before(next rpc.Handler) rpc.Handler {
	if a.limit == 0 {
		return next
	}
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if !c.Message.IsRequest() || c.Record == nil {
			return next.Handle(ctx, c)
		}
		s := &slot{of: a, tenant: tenantOf(c)}
		if a.meter != nil {
			s.call = c
		}
		if a.waiting.Load() > 0 || !a.take() {
			var err error
			if c, err = a.wait(ctx, c, s); err != nil {
				return nil, err
			}
		} else {
			s.began = time.Now()
		}
		return s.serve(ctx, c, next)
	})
}

// take takes a free slot, if there is one.
func (a *Admission) take() bool {
	for {
		n := a.flying.Load()
		if n >= a.most() {
			return false
		}
		if a.flying.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// wait returns when the call has a slot, with what is then left of its time, or says why it gets none.
func (a *Admission) wait(ctx context.Context, c *rpc.Call, s *slot) (*rpc.Call, error) {
	now := time.Now()
	w := a.waiterOf(c, s.tenant, now)
	if a.meter != nil {
		w.call, w.asks = c, a.meter.Cost(ctx, c)
	}
	c.Record.Waits(a.upstream) // for who looks on
	why := a.await(ctx, w)
	c.Record.Waits("")
	switch why {
	case admitted:
		waited := w.served.Sub(now)
		c.Record.Waited(a.upstream, waited)
		s.began, s.band, s.charged = w.served, w.band, w.cost
		return after(c, waited), nil
	case left:
		a.shed[left].Add(1)
		return nil, context.Cause(ctx)
	}
	a.shed[why].Add(1)
	c.Record.Note(rpc.Shed, causeNames[why], 0)
	return nil, a.refusal(why, w)
}

// await returns when a call has a slot, or why it gets none.
func (a *Admission) await(ctx context.Context, w *waiter) cause {
	patience := w.patience
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, deadline.Sub(w.since))
	}
	if why := a.enter(w, patience); why != admitted {
		return why
	}
	timer := time.NewTimer(w.patience)
	defer timer.Stop()
	select {
	case <-w.ready:
	case <-timer.C:
		if a.leave(w) {
			return lapsed
		}
	case <-ctx.Done():
		if !a.leave(w) && w.granted {
			a.give(nil)
		}
		return left
	}
	if !w.granted {
		return pushedOut
	}
	return admitted
}

// enter puts a call into the queue, or says why it may not wait.
func (a *Admission) enter(w *waiter, patience time.Duration) cause {
	a.mu.Lock()
	defer a.mu.Unlock()
	if why := a.objection(w, patience); why != admitted {
		w.again = a.queue.again()
		return why
	}
	a.queue.push(w)
	a.waiting.Add(1)
	a.dispatch(w.since) // a slot that came free before the call was seen to wait would be nobody's
	return admitted
}

// objection says why a call may not wait. The lock is held.
func (a *Admission) objection(w *waiter, patience time.Duration) cause {
	q := &a.queue
	if q.backlog(w) >= a.bounds.PerTenant {
		return tenantFull
	}
	// Who waits alone is let in, whatever is known: it is how something newer is learnt.
	ahead := q.ahead(w)
	switch {
	case ahead > 0 && time.Duration(ahead+1)*q.pace > patience:
		return tooLate
	case q.waiting < a.bounds.Size:
		return admitted
	}
	if out := q.pushOut(w); out != nil {
		a.drop(out)
		return admitted
	}
	return queueFull
}

// drop takes a call that waits out of the queue. The lock is held.
func (a *Admission) drop(w *waiter) {
	w.again = a.queue.again()
	a.queue.remove(w)
	a.waiting.Add(-1)
	close(w.ready)
}

// leave takes a call out of the queue and reports whether it still was there.
func (a *Admission) leave(w *waiter) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w.flow == nil {
		return false
	}
	a.drop(w)
	return true
}

// give frees a slot. With s it is learnt from how long the slot was held.
func (a *Admission) give(s *slot) {
	a.flying.Add(-1)
	if a.waiting.Load() == 0 {
		return // who begins to wait from now on sees the slot
	}
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case s == nil:
	case a.meter != nil:
		a.queue.settle(s, s.spent())
	default:
		a.queue.learn(s, now)
	}
	a.dispatch(now)
}

// dispatch gives free slots to those who wait. The lock is held.
func (a *Admission) dispatch(now time.Time) {
	for a.queue.waiting > 0 && a.take() {
		w := a.queue.next(now)
		a.waiting.Add(-1)
		w.granted = true
		close(w.ready)
	}
}
