package statetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
)

// tokenBudget has many calls at once, of which each reserves 2,000 and turns out to
// cost 1,000.
func tokenBudget(t *testing.T, s *Subject) {
	t.Helper()
	const budget, estimate, cost = 200_000, 2_000, 1_000
	limit := day(budget)
	var spent atomic.Int64
	for round := 0; ; round++ {
		var running [64]bool
		var wg sync.WaitGroup
		for w := range running {
			wg.Go(func() {
				charges := []state.Charge{{Bucket: "tokens", Cost: estimate, Limit: limit}}
				_, err := s.Quota.Reserve(t.Context(), hold(round*len(running)+w), charges, time.Minute, nil)
				if _, ok := errors.AsType[*state.Refusal](err); err != nil && !ok {
					t.Errorf("reserve: %v", err)
				}
				running[w] = err == nil
			})
		}
		wg.Wait()
		any := false
		for w, is := range running {
			if !is {
				continue
			}
			any = true
			wg.Go(func() {
				spent.Add(cost)
				if done, err := s.Quota.Settle(t.Context(), hold(round*len(running)+w), []int64{cost}); !done || err != nil {
					t.Errorf("settle: %v, %v", done, err)
				}
			})
		}
		wg.Wait()
		if !any {
			break
		}
	}
	if n := spent.Load(); n > budget || n < budget*99/100 {
		t.Errorf("%d of %d are spent", n, budget)
	}
	if got := uses(t, s, state.Charge{Bucket: "tokens", Limit: limit}); got[0] != spent.Load() {
		t.Errorf("%d are charged, %d spent", got[0], spent.Load())
	}
}

// chargedTricks has clients of one organisation do what would make work cheap if
// charges were late or trusted: stop before the usage is known, never settle, settle
// twice, use many keys, ask for little and take much.
func chargedTricks(t *testing.T, s *Subject) {
	t.Helper()
	const budget, step = 3_000_000, 256
	limit := day(budget)
	var produced atomic.Int64
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 4))
			for i := range 250 {
				trick := client{t: t, s: s, id: hold(w*1000 + i), random: random, limit: limit}
				produced.Add(trick.run(fmt.Sprint("key ", random.IntN(50)), step))
			}
		})
	}
	wg.Wait()
	s.Advance(2 * time.Minute) // those that were left are over
	got := uses(t, s, state.Charge{Bucket: "org", Limit: limit})[0]
	if got < produced.Load() || got > budget {
		t.Errorf("%d of %d are charged, %d were produced", got, budget, produced.Load())
	}
	if produced.Load() < budget/2 {
		t.Errorf("only %d were produced: the budget was not tried", produced.Load())
	}
}

type client struct {
	t      *testing.T
	s      *Subject
	id     state.HoldID
	random *rand.Rand
	limit  *state.Limit
}

// run makes one call, whose output is reserved step by step, and returns how much was
// produced.
func (c *client) run(key string, step int64) (produced int64) {
	ctx := c.t.Context()
	charges := []state.Charge{{Bucket: "org", Cost: step, Limit: c.limit}, {Bucket: key, Cost: step, Limit: day(1 << 40)}}
	if _, err := c.s.Quota.Reserve(ctx, c.id, charges, time.Minute, nil); err != nil {
		c.expectRefusal(err)
		return 0
	}
	for range c.random.IntN(10) {
		produced += step
		if _, err := c.s.Quota.Extend(ctx, c.id, []int64{step, step}, time.Minute, nil); err != nil {
			c.expectRefusal(err)
			break
		}
	}
	switch c.random.IntN(4) {
	case 0: // the process is gone
	case 1: // nobody knows
		c.settle(true)
	case 2:
		c.settle(true, produced, produced)
		c.settle(false, 0, 0)
	default:
		c.settle(true, produced, produced)
	}
	return produced
}

func (c *client) settle(want bool, actual ...int64) {
	if got, err := c.s.Quota.Settle(c.t.Context(), c.id, actual); got != want || err != nil {
		c.t.Errorf("settle: %v, %v", got, err)
	}
}

func (c *client) expectRefusal(err error) {
	if _, ok := errors.AsType[*state.Refusal](err); !ok {
		c.t.Errorf("refused by %v", err)
	}
}
