package embedded

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/headgate/headgate/state"
)

// group is the buckets of one operation, whose shards are locked, as they stand now.
type group struct {
	now     int64
	mask    uint64 // the shards
	n       int
	buckets [state.MaxCharges]*bucket
}

// gather locks and finds the buckets of charges, and makes those that are not there,
// to stay if make is set. After an error nothing is locked.
func (q *Quota) gather(g *group, charges []state.Charge, stay bool) error {
	var at [state.MaxCharges]uint8
	for i := range charges {
		at[i] = uint8(maphash.String(q.seed, charges[i].Bucket) % shardCount)
		g.mask |= 1 << at[i]
	}
	q.lock(g.mask)
	g.now = q.clock.nanos() // after the locks, so that no bucket sees time go back
	err := q.find(g, charges, at[:], stay)
	if err != nil {
		q.unlock(g.mask)
	}
	return err
}

func (q *Quota) find(g *group, charges []state.Charge, at []uint8, stay bool) error {
	if q.closed.Load() {
		return state.ErrClosed
	}
	for i := range charges {
		c := &charges[i]
		sh := &q.shards[at[i]]
		b := sh.find(c)
		if b == nil {
			if err := c.Limit.Validate(); err != nil {
				return fmt.Errorf("%w: %q: %w", errCharges, c.Bucket, err)
			}
			b = &bucket{key: strings.Clone(c.Bucket), limit: c.Limit, shard: at[i]}
			if stay && !q.add(sh, b, g.now) {
				return errFull
			}
		}
		b.advance(g.now)
		if b.limit != c.Limit {
			if err := c.Limit.Validate(); err != nil {
				return fmt.Errorf("%w: %q: %w", errCharges, c.Bucket, err)
			}
			if b.limit.Durable && !c.Limit.Durable {
				q.writes.put(budgetBucket, b.fileKey(), nil)
			}
			b.limit = c.Limit
		}
		if slices.Contains(g.buckets[:i], b) {
			return fmt.Errorf("%w: %q twice", errCharges, c.Bucket)
		}
		g.buckets[i] = b
		g.n++
	}
	return nil
}

// gatherHeld locks the buckets of a hold.
func (q *Quota) gatherHeld(g *group, h *hold) {
	g.n = len(h.charges)
	for i := range h.charges {
		g.buckets[i] = h.charges[i].bucket
		g.mask |= 1 << g.buckets[i].shard
	}
	q.lock(g.mask)
	g.now = q.clock.nanos()
	for _, b := range g.buckets[:g.n] {
		b.advance(g.now)
	}
}

func (g *group) balances(into []state.Balance) []state.Balance {
	for _, b := range g.buckets[:g.n] {
		into = append(into, b.balance(g.now))
	}
	return into
}

// refusal is the error of charges that do not fit, or nil.
func (g *group) refusal(charges []state.Charge) error {
	var worst *state.Refusal
	for i := range charges {
		worst = g.worse(worst, i, charges[i].Cost)
	}
	if worst != nil {
		return worst
	}
	return nil
}

// worse returns the refusal of a charge if it lasts longer than the worst so far.
func (g *group) worse(worst *state.Refusal, i int, cost int64) *state.Refusal {
	b := g.buckets[i]
	if b.fits(cost) {
		return worst
	}
	wait := b.wait(cost, g.now)
	if worst != nil && wait <= worst.RetryAfter {
		return worst
	}
	return &state.Refusal{Charge: i, Bucket: b.key, Cost: cost, Balance: b.balance(g.now), RetryAfter: wait}
}
