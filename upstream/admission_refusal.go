package upstream

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/headgate/headgate/rpc"
)

// cause is why a call got no slot.
type cause uint8

const (
	admitted   cause = iota
	queueFull        // as many wait as may
	tenantFull       // as many of its tenant wait as may
	tooLate          // it would have waited longer than it can
	pushedOut        // others had a better claim to its place in a full queue
	lapsed           // it waited as long as it may
	left             // its client left, or its deadline passed, while it waited
	causes
)

// causeNames are the names in errors and metrics. They are stable.
var causeNames = [causes]string{
	queueFull: "queue_full", tenantFull: "tenant_queue_full", tooLate: "deadline", pushedOut: "displaced", lapsed: "queue_timeout", left: "left",
}

// refusal makes the error for a call that gets no slot.
func (a *Admission) refusal(why cause, w *waiter) error {
	limit := a.most()
	return &rpc.Error{
		Code: rpc.Overloaded, Upstream: a.upstream, NotRun: true, RetryAfter: w.again,
		Message: fmt.Sprintf("%v has %d calls in flight, and %s", a, limit, a.reason(why, w)),
		Data:    map[string]any{"shed": causeNames[why], "band": bandNames[w.band], "limit": limit},
	}
}

// reason says in words why. How many wait is for nobody who may not know of others.
func (a *Admission) reason(why cause, w *waiter) string {
	switch why {
	case tenantFull:
		return fmt.Sprintf("%d calls of yours wait already", a.bounds.PerTenant)
	case tooLate:
		return "this one would wait longer than it can"
	case lapsed:
		return fmt.Sprintf("this one has waited for %v", w.patience)
	}
	return "no more can wait"
}

// Bounds of what clients are told to wait.
const (
	soonest = time.Second
	latest  = 30 * time.Second
)

// again returns when it makes sense to try again: when those that wait now are served. Clients that were refused
// together do not come back together.
func (q *queue) again() time.Duration {
	d := min(max(soonest, time.Duration(q.waiting)*q.pace), latest)
	return d + rand.N(d/10)
}
