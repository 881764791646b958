package upstream

import "math"

// band is the tenants of one priority that wait. They take turns by deficit round robin (Shreedhar and Varghese, "Efficient
// Fair Queuing using Deficit Round Robin", 1995): each round gives a tenant as much as its weight, and it is served while it has
// what its next call costs. Rounds in which nobody could pay are made at once, so that costs may be in any unit.
type band struct {
	ring    *flow // whose turn it is; nil where nobody waits
	flows   int   // in the ring
	waiting int   // calls
}

// flowKey names a flow: the calls of one tenant in one band.
type flowKey struct {
	tenant tenant
	band   int
}

// flow is the calls of one tenant that wait in one band, oldest first.
type flow struct {
	tenant      tenant
	weight      int64
	deficit     int64 // what it may spend
	mean        int64 // what its calls cost; 0 if none was measured
	first, last *waiter
	waiting     int
	before      *flow // in the ring
	after       *flow
}

// cost returns what the next call of a tenant is taken to cost: the time for which its calls hold a slot, in
// microseconds, or what the meter says of the first of them.
func (f *flow) cost(q *queue) int64 {
	if f.first != nil && f.first.asks > 0 {
		return f.first.asks
	}
	if f.mean > 0 {
		return f.mean
	}
	return max(1, q.mean)
}

// push puts a call at the end of a flow, and the flow at the end of the ring if it is not in it.
func (b *band) push(f *flow, w *waiter) {
	w.flow, w.prev = f, f.last
	if f.last == nil {
		f.first = w
		b.join(f)
	} else {
		f.last.next = w
	}
	f.last = w
	f.waiting++
	b.waiting++
}

// join puts a flow where its turn comes last.
func (b *band) join(f *flow) {
	b.flows++
	if b.ring == nil {
		f.before, f.after, b.ring = f, f, f
		return
	}
	f.after, f.before = b.ring, b.ring.before
	f.before.after, f.after.before = f, f
}

// remove takes a call out of its flow. A flow without calls leaves the ring, and what it had to spend with it.
func (b *band) remove(w *waiter) {
	f := w.flow
	if w.prev == nil {
		f.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		f.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.flow, w.prev, w.next = nil, nil, nil
	f.waiting--
	b.waiting--
	if f.waiting > 0 {
		return
	}
	f.deficit = 0
	b.flows--
	switch {
	case f.after == f:
		b.ring = nil
	case b.ring == f:
		b.ring = f.after
	}
	f.before.after, f.after.before = f.after, f.before
	f.before, f.after = nil, nil
}

// turn returns the flow whose next call is served. Somebody waits.
func (b *band) turn(q *queue) *flow {
	for b.flows > 1 {
		rounds := int64(math.MaxInt64)
		for range b.flows {
			f := b.ring
			short := f.cost(q) - f.deficit
			if short <= 0 {
				return f
			}
			rounds = min(rounds, (short+f.weight-1)/f.weight)
			b.ring = f.after
		}
		b.each(func(f *flow) { f.deficit += rounds * f.weight })
	}
	return b.ring
}

// each calls do for each flow that waits.
func (b *band) each(do func(*flow)) {
	f := b.ring
	for range b.flows {
		do(f)
		f = f.after
	}
}
