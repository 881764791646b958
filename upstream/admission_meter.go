package upstream

import (
	"context"
	"fmt"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// Meter says how many calls may run, where that changes, and what a call costs, where that is something else than the time
// for which it holds a slot. Its methods are called by many goroutines at once; Limit under a lock.
type Meter interface {
	// Limit returns how many calls may run at the moment: at least one.
	Limit() int64
	// Cost returns what a call is taken to cost, at least 1, in a unit of the meter's own.
	Cost(ctx context.Context, c *rpc.Call) int64
	// Spent returns what a call has cost in the end; 0 if that is not known.
	Spent(c *rpc.Call) int64
}

// NewMeteredAdmission returns the admission of a model. Tenants pay what the meter says. With limited set to false there is no limit.
func NewMeteredAdmission(model string, limited bool, q config.Queue, rank Ranker, m Meter) *Admission {
	a := &Admission{kind: "model", upstream: model, bounds: q, rank: rank, queue: newQueue(q.MaxWait)}
	if limited {
		a.limit, a.meter = 1, m
	}
	return a
}

// most returns how many calls may run at the moment.
func (a *Admission) most() int64 {
	if a.meter == nil {
		return a.limit
	}
	return a.meter.Limit()
}

// Place returns which place in the queue the caller's next call has, from 1: how many are served before it, as far as can be told, and
// itself. It is 0 if no call of the caller's waits.
func (a *Admission) Place(p *rpc.Principal) int {
	if a.waiting.Load() == 0 {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	place := 0
	for i := range bands {
		a.queue.bands[i].each(func(f *flow) {
			before := 0
			for w := f.first; w != nil; w = w.next {
				if w.call != nil && same(&w.call.Principal, p) {
					if n := 1 + a.queue.before(w, before); place == 0 || n < place {
						place = n
					}
					return
				}
				before++
			}
		})
	}
	return place
}

// same reports whether two principals are the same caller.
func same(a, b *rpc.Principal) bool {
	return a.Org == b.Org && a.Team == b.Team && a.Key == b.Key && a.User == b.User
}

// spent returns what a call has cost in the end, in the unit that its tenant pays.
func (s *slot) spent() int64 {
	if n := s.of.meter.Spent(s.call); n > 0 {
		return n
	}
	return s.charged
}

// String names who has a limit, in errors.
func (a *Admission) String() string { return fmt.Sprintf("%s %q", a.kind, a.upstream) }
