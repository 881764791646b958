package embedded

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/state"
)

// Quota is the part of an engine that counts what is taken. An operation locks the
// shards of its buckets in their order, the hold's own before them, and computes in
// between; only where a block of a durable budget is used up does it wait, unlocked, for the
// file.
type Quota struct {
	clock  clock
	writes *committer
	seed   maphash.Seed
	room   int // buckets in a shard
	closed atomic.Bool
	spare  sync.Pool // of *hold
	shards [shardCount]bucketShard
	holds  [shardCount]holdShard
}

var _ state.Quota = (*Quota)(nil)

func newQuota(c clock, writes *committer, o Options) *Quota {
	q := &Quota{clock: c, writes: writes, seed: maphash.MakeSeed(), room: max(o.Buckets/shardCount, 1)}
	q.spare.New = func() any { return new(hold) }
	for i := range shardCount {
		q.shards[i].buckets = make(map[string]*bucket)
		q.holds[i].open = make(map[state.HoldID]*hold)
		q.holds[i].room = max(o.Holds/shardCount, 1)
	}
	return q
}

var (
	errCharges = errors.New("state: a charge is wrong")
	errFull    = fmt.Errorf("%w: it has no more room for what is not over", state.ErrUnavailable)
)

// Reserve takes all charges, or none.
func (q *Quota) Reserve(ctx context.Context, id state.HoldID, charges []state.Charge, ttl time.Duration, into []state.Balance) ([]state.Balance, error) {
	into = slices.Grow(into[:0], len(charges))
	if err := checkCharges(charges, ttl); err != nil {
		return into, err
	}
	if ttl == 0 {
		return q.spend(ctx, charges, into)
	}
	into, _, err := q.reserve(ctx, id, charges, ttl, into, false)
	return into, err
}

// Lease takes as much of the charge's cost as there is.
func (q *Quota) Lease(ctx context.Context, id state.HoldID, charge state.Charge, ttl time.Duration) (int64, state.Balance, error) {
	if charge.Cost < 1 || ttl <= 0 {
		return 0, state.Balance{}, fmt.Errorf("%w: a lease of %d for %v", errCharges, charge.Cost, ttl)
	}
	charges := []state.Charge{charge}
	if err := checkCharges(charges, ttl); err != nil {
		return 0, state.Balance{}, err
	}
	into, got, err := q.reserve(ctx, id, charges, ttl, nil, true)
	if err != nil {
		return 0, state.Balance{}, err
	}
	return got, into[0], nil
}

// Peek answers what Reserve would.
func (q *Quota) Peek(_ context.Context, charges []state.Charge, into []state.Balance) ([]state.Balance, error) {
	into = slices.Grow(into[:0], len(charges))
	if err := checkCharges(charges, 1); err != nil {
		return into, err
	}
	var g group
	if err := q.gather(&g, charges, false); err != nil {
		return into, err
	}
	defer q.unlock(g.mask)
	into = g.balances(into)
	return into, g.refusal(charges)
}

func checkCharges(charges []state.Charge, ttl time.Duration) error {
	if len(charges) > state.MaxCharges {
		return fmt.Errorf("%w: there are %d of them", errCharges, len(charges))
	}
	for i := range charges {
		c := &charges[i]
		switch {
		case len(c.Bucket) > state.MaxBucket:
			return fmt.Errorf("%w: a bucket's name of %d bytes", errCharges, len(c.Bucket))
		case c.Limit == nil:
			return fmt.Errorf("%w: %q has no limit", errCharges, c.Bucket)
		case c.Cost < 0 || ttl < 0:
			return fmt.Errorf("%w: %q costs %d for %v", errCharges, c.Bucket, c.Cost, ttl)
		case ttl == 0 && c.Limit.Kind == state.InFlight:
			return fmt.Errorf("%w: slots of %q are taken without a hold", errCharges, c.Bucket)
		}
	}
	return nil
}

// spend takes charges for good.
func (q *Quota) spend(ctx context.Context, charges []state.Charge, into []state.Balance) ([]state.Balance, error) {
	var g group
	if err := q.gather(&g, charges, true); err != nil {
		return into, err
	}
	if err := g.refusal(charges); err != nil {
		q.unlock(g.mask)
		return into, err
	}
	h := q.newHold(len(charges))
	defer q.recycle(h)
	wait := q.charge(&g, h, charges)
	into = g.balances(into)
	if !wait {
		q.leave(&g, h)
		return into, nil
	}
	q.unlock(g.mask)
	if err := q.writes.sync(ctx); err != nil {
		q.undo(h, nil)
		return into[:0], err
	}
	q.gatherHeld(&g, h)
	q.leave(&g, h)
	return into, nil
}

// reserve takes charges for a hold; or, for a lease, what there is of the only one.
func (q *Quota) reserve(ctx context.Context, id state.HoldID, charges []state.Charge, ttl time.Duration, into []state.Balance, part bool) ([]state.Balance, int64, error) {
	hs := q.holdShard(id)
	hs.mu.Lock()
	if h, open := hs.open[id]; open {
		return q.again(ctx, hs, h, into)
	}
	var g group
	if err := q.prepare(hs, &g, charges); err != nil {
		hs.mu.Unlock()
		return into, 0, err
	}
	var one [1]state.Charge
	if part {
		one[0] = charges[0]
		one[0].Cost = max(1, min(one[0].Cost, g.buckets[0].limit.Max-g.buckets[0].used))
		charges = one[:]
	}
	if err := g.refusal(charges); err != nil {
		q.unlock(g.mask)
		hs.mu.Unlock()
		return into, 0, err
	}
	h := q.newHold(len(charges))
	h.until = sum(g.now, int64(ttl))
	wait := q.charge(&g, h, charges)
	into = g.balances(into)
	hs.open[id] = h
	q.unlock(g.mask)
	hs.mu.Unlock()
	if wait {
		if err := q.writes.sync(ctx); err != nil {
			q.cancel(id)
			return into[:0], 0, err
		}
	}
	return into, charges[0].Cost, nil
}

// prepare gathers the buckets of a hold, for which there has to be room.
func (q *Quota) prepare(hs *holdShard, g *group, charges []state.Charge) error {
	if len(charges) == 0 {
		return fmt.Errorf("%w: there are none", errCharges)
	}
	if len(hs.open) >= hs.room {
		return errFull
	}
	return q.gather(g, charges, true)
}

// again answers for a hold that is open already. The shard of holds is locked.
func (q *Quota) again(ctx context.Context, hs *holdShard, h *hold, into []state.Balance) ([]state.Balance, int64, error) {
	var g group
	q.gatherHeld(&g, h)
	into = g.balances(into)
	amount, over := h.charges[0].amount, g.now >= h.until
	q.unlock(g.mask)
	hs.mu.Unlock()
	if over {
		return into[:0], 0, state.ErrNoHold
	}
	return into, amount, q.writes.sync(ctx) // the first one may be waiting for the file
}

// charge takes what was found to fit. It reports whether that has to wait for the file.
func (q *Quota) charge(g *group, h *hold, charges []state.Charge) (wait bool) {
	for i := range charges {
		b, c := g.buckets[i], &h.charges[i]
		c.bucket, c.until = b, h.until
		b.holds++
		b.take(c, charges[i].Cost)
		if b.limit.Kind == state.InFlight {
			b.slots.push(c)
		}
		wait = q.keep(b) || wait
	}
	return wait
}

// Extend takes more for an open hold, and more time.
func (q *Quota) Extend(ctx context.Context, id state.HoldID, more []int64, ttl time.Duration, into []state.Balance) ([]state.Balance, error) {
	if slices.ContainsFunc(more, negative) {
		return into[:0], fmt.Errorf("%w: less instead of more", errCharges)
	}
	hs := q.holdShard(id)
	hs.mu.Lock()
	h := hs.open[id]
	if h == nil {
		hs.mu.Unlock()
		return into[:0], state.ErrNoHold
	}
	var g group
	q.gatherHeld(&g, h)
	into, wait, err := q.extend(&g, h, more, ttl, into[:0])
	q.unlock(g.mask)
	hs.mu.Unlock()
	if wait {
		if err := q.writes.sync(ctx); err != nil {
			q.shorten(id, more)
			return into[:0], err
		}
	}
	return into, err
}

func (q *Quota) extend(g *group, h *hold, more []int64, ttl time.Duration, into []state.Balance) ([]state.Balance, bool, error) {
	switch {
	case q.closed.Load():
		return into, false, state.ErrClosed
	case g.now >= h.until:
		return into, false, state.ErrNoHold
	case len(more) > g.n:
		return into, false, fmt.Errorf("%w: %d for a hold of %d", errCharges, len(more), g.n)
	}
	var worst *state.Refusal
	for i, amount := range more {
		worst = g.worse(worst, i, amount)
	}
	if worst != nil {
		return into, false, worst
	}
	h.until = max(h.until, sum(g.now, int64(ttl)))
	wait := false
	for i := range h.charges {
		b, c := g.buckets[i], &h.charges[i]
		if i < len(more) {
			b.take(c, more[i])
			wait = q.keep(b) || wait
		}
		if c.until = h.until; c.index > 0 {
			b.slots.fix(c)
		}
	}
	return g.balances(slices.Grow(into, g.n)), wait, nil
}

// Settle ends a hold with what its charges cost in truth. It waits for the file only
// if they cost more than a block.
func (q *Quota) Settle(ctx context.Context, id state.HoldID, actual []int64) (bool, error) {
	if slices.ContainsFunc(actual, negative) {
		return false, fmt.Errorf("%w: a negative cost", errCharges)
	}
	hs := q.holdShard(id)
	hs.mu.Lock()
	h := hs.open[id]
	if h == nil {
		hs.mu.Unlock()
		return false, nil
	}
	delete(hs.open, id)
	var g group
	q.gatherHeld(&g, h)
	closed, known := q.closed.Load(), !h.forgotten(g.now)
	wait := known && !closed && q.settle(&g, h, actual)
	q.leave(&g, h)
	hs.mu.Unlock()
	q.recycle(h)
	if closed {
		return false, state.ErrClosed
	}
	if wait {
		return known, q.writes.sync(ctx)
	}
	return known, nil
}

func (q *Quota) settle(g *group, h *hold, actual []int64) (wait bool) {
	for i := range min(len(actual), len(h.charges)) {
		b, c := g.buckets[i], &h.charges[i]
		if b.limit.Kind == state.InFlight || actual[i] == c.amount {
			continue
		}
		if actual[i] < c.amount {
			b.giveBack(c, c.amount-actual[i])
		} else {
			b.take(c, actual[i]-c.amount)
		}
		wait = q.keep(b) || wait
	}
	return wait
}

func negative(n int64) bool { return n < 0 }

// lock locks shards in their order.
func (q *Quota) lock(mask uint64) {
	for ; mask != 0; mask &= mask - 1 {
		q.shards[bits.TrailingZeros64(mask)].mu.Lock()
	}
}

func (q *Quota) unlock(mask uint64) {
	for ; mask != 0; mask &= mask - 1 {
		q.shards[bits.TrailingZeros64(mask)].mu.Unlock()
	}
}
