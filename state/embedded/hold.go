package embedded

import (
	"hash/maphash"
	"sync"

	"github.com/headgate/headgate/state"
)

// hold is what one reservation has taken.
type hold struct {
	until   int64
	charges []held // never grows: heaps point into it
	few     [6]held
}

// forgotten reports whether it is too late to settle.
func (h *hold) forgotten(now int64) bool { return now >= sum(h.until, int64(state.LateSettle)) }

type holdShard struct {
	mu   sync.Mutex
	room int
	open map[state.HoldID]*hold // with those whose time is over, for a while
}

func (q *Quota) holdShard(id state.HoldID) *holdShard {
	return &q.holds[maphash.Bytes(q.seed, id[:])%shardCount]
}

func (q *Quota) newHold(n int) *hold {
	h := q.spare.Get().(*hold) //nolint:forcetypeassert // nothing else is put into it
	if n <= len(h.few) {
		h.charges = h.few[:n]
	} else {
		h.charges = make([]held, n)
	}
	return h
}

// recycle is for a hold that no map or heap has.
func (q *Quota) recycle(h *hold) {
	*h = hold{}
	q.spare.Put(h)
}

// leave lets go of a hold's buckets and unlocks them.
func (q *Quota) leave(g *group, h *hold) {
	for i := range h.charges {
		b := g.buckets[i]
		b.release(&h.charges[i])
		b.holds--
	}
	q.unlock(g.mask)
}

// undo gives back parts of what a hold has taken, or without them all of it and the
// buckets too. Nobody else has the hold, or its shard is locked.
func (q *Quota) undo(h *hold, parts []int64) {
	var g group
	q.gatherHeld(&g, h)
	for i := range h.charges {
		c := &h.charges[i]
		switch {
		case parts == nil:
			g.buckets[i].giveBack(c, c.amount)
		case i < len(parts):
			g.buckets[i].giveBack(c, parts[i])
		}
		q.keep(g.buckets[i])
	}
	if parts == nil {
		q.leave(&g, h)
		return
	}
	q.unlock(g.mask)
}

// cancel ends a hold as if it had never been.
func (q *Quota) cancel(id state.HoldID) {
	hs := q.holdShard(id)
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if h := hs.open[id]; h != nil {
		delete(hs.open, id)
		q.undo(h, nil)
		q.recycle(h)
	}
}

// shorten gives back what an open hold was extended by.
func (q *Quota) shorten(id state.HoldID, more []int64) {
	hs := q.holdShard(id)
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if h := hs.open[id]; h != nil {
		q.undo(h, more)
	}
}

// forget drops holds for which it is too late, and buckets that are empty.
func (q *Quota) forget() {
	q.forgetHolds(q.clock.nanos())
	q.forgetBuckets()
}

func (q *Quota) forgetHolds(now int64) {
	for i := range q.holds {
		hs := &q.holds[i]
		hs.mu.Lock()
		for id, h := range hs.open {
			if h.forgotten(now) {
				delete(hs.open, id)
				var g group
				q.gatherHeld(&g, h)
				q.leave(&g, h)
				q.recycle(h)
			}
		}
		hs.mu.Unlock()
	}
}
