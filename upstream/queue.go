package upstream

import (
	"time"

	"github.com/headgate/headgate/rpc"
)

// The bands of priority, highest first.
const (
	interactive = iota
	normal
	batch
	bands
)

// bandNames are the names in the configuration, in errors and in metrics.
var bandNames = [bands]string{interactive: "interactive", normal: "default", batch: "batch"}

// share is of how many slots each band that waits gets one, whatever waits above it.
const share = 10

// maxFlows is how many tenants are remembered that have nothing in the queue.
const maxFlows = 4096

// waiter is a call in the queue.
type waiter struct {
	tenant   tenant
	band     int
	weight   int64
	since    time.Time
	patience time.Duration // how long it may wait
	asks     int64         // what it is taken to cost, where a meter says that; else 0
	call     *rpc.Call     // likewise; else nil
	again    time.Duration // what its client is told if it is refused

	flow       *flow // nil when it is not in the queue
	prev, next *waiter
	cost       int64     // what its tenant paid for it
	served     time.Time // when it got a slot
	granted    bool      // it got a slot; read after ready
	ready      chan struct{}
}

// queue is the calls that wait, by band and tenant. Its owner's lock guards it.
type queue struct {
	bands   [bands]band
	credit  [bands]int // how many slots went by a band since it last got one
	flows   map[flowKey]*flow
	waiting int

	mean  int64         // what a call costs, of those that were measured
	most  int64         // and what it is taken to cost at most
	pace  time.Duration // between two slots that come free while calls wait
	ticks time.Time     // when a slot was last given, or the queue began
}

func newQueue(most time.Duration) queue {
	return queue{flows: map[flowKey]*flow{}, most: max(1, most.Microseconds()), mean: 1}
}

// push puts a call at the end of its tenant's.
func (q *queue) push(w *waiter) {
	if q.waiting == 0 {
		q.ticks = w.since
	}
	f := q.flowOf(w)
	f.weight = w.weight
	q.bands[w.band].push(f, w)
	q.waiting++
}

// flowOf returns the flow of a call, made if need be.
func (q *queue) flowOf(w *waiter) *flow {
	key := flowKey{w.tenant, w.band}
	f := q.flows[key]
	if f == nil {
		q.forget()
		f = &flow{tenant: w.tenant}
		q.flows[key] = f
	}
	return f
}

// forget drops tenants that do not wait, if too many are remembered.
func (q *queue) forget() {
	if len(q.flows) < maxFlows {
		return
	}
	for key, f := range q.flows {
		if f.waiting == 0 {
			delete(q.flows, key)
		}
	}
}

// backlog returns how many calls of a waiter's tenant wait in its band.
func (q *queue) backlog(w *waiter) int {
	if f := q.flows[flowKey{w.tenant, w.band}]; f != nil {
		return f.waiting
	}
	return 0
}

// remove takes a call out of the queue.
func (q *queue) remove(w *waiter) {
	b := &q.bands[w.band]
	b.remove(w)
	q.waiting--
	if b.waiting == 0 {
		q.credit[w.band] = 0
	}
}

// next takes out the call that gets the next slot.
func (q *queue) next(now time.Time) *waiter {
	b := &q.bands[q.turn()]
	f := b.turn(q)
	w := f.first
	w.served = now
	if b.flows == 1 { // who is alone takes nothing from anybody, and saves nothing up
		f.deficit = 0
	} else {
		w.cost = f.cost(q)
		f.deficit -= w.cost
	}
	q.remove(w)
	q.tick(now)
	return w
}

// turn returns the band whose turn it is: the highest, unless a lower one had none for too long.
func (q *queue) turn() int {
	chosen := -1
	for i := range bands {
		if q.bands[i].waiting == 0 {
			continue
		}
		q.credit[i]++
		if chosen < 0 || q.credit[i] >= share {
			chosen = i
		}
	}
	q.credit[chosen] = max(0, q.credit[chosen]-share)
	return chosen
}

// tick learns how fast slots come free while calls wait.
func (q *queue) tick(now time.Time) {
	const memory = 16
	q.pace += (now.Sub(q.ticks) - q.pace) / memory
	q.ticks = now
}

// learn notes how long a call held its slot. The tenant of one that waited pays the difference to what it was taken to cost.
func (q *queue) learn(s *slot, now time.Time) {
	const memory = 8
	took := min(max(1, now.Sub(s.began).Microseconds()), q.most)
	q.mean += (took - q.mean) / memory
	for i := range bands {
		f := q.flows[flowKey{s.tenant, i}]
		if f == nil {
			continue
		}
		if f.mean == 0 {
			f.mean = took
		}
		f.mean += (took - f.mean) / memory
		if i == s.band && s.charged > 0 && f.waiting > 0 {
			f.deficit -= min(max(took-s.charged, -s.charged), s.charged)
		}
	}
}

// settle has the tenant of a call that waited, of which a meter says what it cost, pay the difference to what it was taken to cost.
func (q *queue) settle(s *slot, spent int64) {
	if f := q.flows[flowKey{s.tenant, s.band}]; f != nil && s.charged > 0 && f.waiting > 0 {
		f.deficit -= spent - s.charged
	}
}

// ahead returns how many calls would be served before w, if it waited now: all of higher bands, those of its own tenant, and of
// others in its band as many as their weight gives them meanwhile.
func (q *queue) ahead(w *waiter) int {
	return q.before(w, q.backlog(w))
}

// before returns how many calls are served before w, which waits behind so many of its own tenant.
func (q *queue) before(w *waiter, own int) int {
	n := 0
	for i := range w.band {
		n += q.bands[i].waiting
	}
	return n + q.among(w, own)
}

// among returns how many calls of a waiter's band are served before it, where it is behind so many of its own tenant.
func (q *queue) among(w *waiter, own int) int {
	n := 0
	q.bands[w.band].each(func(f *flow) {
		switch f.tenant {
		case w.tenant:
			n += own
		default:
			n += min(f.waiting, int(int64(own+1)*f.weight/w.weight))
		}
	})
	return n
}

// pushOut returns the call that has to go so that w can wait in a full queue: the newest of who has most of the lowest band that
// waits, unless that has no more than w's tenant. It returns nil if nobody's has.
func (q *queue) pushOut(w *waiter) *waiter {
	for i := bands - 1; i >= w.band; i-- {
		if q.bands[i].waiting == 0 {
			continue
		}
		var longest *flow
		q.bands[i].each(func(f *flow) {
			if longest == nil || int64(f.waiting)*longest.weight > int64(longest.waiting)*f.weight {
				longest = f
			}
		})
		if i == w.band && int64(longest.waiting)*w.weight <= int64(q.backlog(w)+1)*longest.weight {
			return nil
		}
		return longest.last
	}
	return nil
}
