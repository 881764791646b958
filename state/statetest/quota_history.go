package statetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/headgate/headgate/state"
)

// historyTime is how long a history may be thought about. A history that is not
// decided in it proves nothing, which is a failure too.
const historyTime = 20 * time.Second

// QuotaHistory has a few workers at once use a few buckets, and checks that what they
// were told has an order in which it is true.
func QuotaHistory(t *testing.T, open Open) {
	t.Helper()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			var history []porcupine.Operation
			open(t, func(t *testing.T, s *Subject) {
				t.Helper()
				history = quotaHistory(t, s, seed)
			})
			linear(t, quotaOrder, history)
		})
	}
}

func linear(t *testing.T, order porcupine.Model, history []porcupine.Operation) {
	t.Helper()
	if got := porcupine.CheckOperationsTimeout(order, history, historyTime); got != porcupine.Ok {
		t.Errorf("%d operations: %s", len(history), got)
	}
}

// recorder writes down what was done when. Times are counted, not measured.
type recorder struct {
	mu      sync.Mutex
	ticks   atomic.Int64
	history []porcupine.Operation
}

func (r *recorder) do(client int, input any, op func() any) {
	began := r.ticks.Add(1)
	output := op()
	ended := r.ticks.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, porcupine.Operation{ClientId: client, Input: input, Call: began, Output: output, Return: ended})
}

// historyLimits are of a first bucket that is durable, and of others of which a
// reservation takes one as well.
var historyLimits = []*state.Limit{day(40), slots(3), {Kind: state.Rolling, Max: 30, Per: 24 * time.Hour, Durable: true}}

type quotaInput struct {
	id     state.HoldID
	settle bool
	other  int   // the bucket that is charged beside the first
	cost   int64 // or what it did cost
}

type quotaOutput struct {
	done    bool
	refused string
	left    [2]int64
}

func quotaHistory(t *testing.T, s *Subject, seed uint64) []porcupine.Operation {
	t.Helper()
	var r recorder
	var wg sync.WaitGroup
	for client := range 4 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(client)))
			for i := range 12 {
				in := quotaInput{id: hold(client*100 + i), other: 1 + random.IntN(2), cost: 1 + random.Int64N(5)}
				r.do(client, in, func() any { return historyReserve(t, s, in) })
				if random.IntN(3) > 0 {
					in.settle, in.cost = true, random.Int64N(4)
					r.do(client, in, func() any { return historySettle(t, s, in) })
				}
			}
		})
	}
	wg.Wait()
	return r.history
}

func historyReserve(t *testing.T, s *Subject, in quotaInput) quotaOutput {
	t.Helper()
	charges := []state.Charge{{Bucket: "0", Cost: in.cost, Limit: historyLimits[0]}, {Bucket: fmt.Sprint(in.other), Cost: 1, Limit: historyLimits[in.other]}}
	got, err := s.Quota.Reserve(t.Context(), in.id, charges, time.Hour, nil)
	if refusal, ok := errors.AsType[*state.Refusal](err); ok {
		return quotaOutput{refused: refusal.Bucket, left: [2]int64{refusal.Balance.Remaining}}
	}
	if err != nil {
		t.Errorf("reserve: %v", err)
		return quotaOutput{}
	}
	return quotaOutput{done: true, left: [2]int64{got[0].Remaining, got[1].Remaining}}
}

func historySettle(t *testing.T, s *Subject, in quotaInput) quotaOutput {
	t.Helper()
	done, err := s.Quota.Settle(t.Context(), in.id, []int64{in.cost})
	if err != nil {
		t.Errorf("settle: %v", err)
	}
	return quotaOutput{done: done}
}

// ledger is what is charged after some operations.
type ledger struct {
	used [3]int64
	open map[state.HoldID]quotaInput
}

var quotaOrder = porcupine.Model{
	Init: func() any { return ledger{} },
	Step: func(before, input, output any) (bool, any) {
		l, ok := before.(ledger)
		in, okIn := input.(quotaInput)
		out, okOut := output.(quotaOutput)
		if !ok || !okIn || !okOut {
			return false, before
		}
		next := ledger{used: l.used, open: maps.Clone(l.open)}
		if in.settle {
			return next.settle(in) == out.done, next
		}
		return next.reserve(in) == out, next
	},
	Equal: func(a, b any) bool {
		x, ok := a.(ledger)
		y, okToo := b.(ledger)
		return ok && okToo && x.used == y.used && maps.Equal(x.open, y.open)
	},
}

func (l *ledger) settle(in quotaInput) bool {
	held, open := l.open[in.id]
	if !open {
		return false
	}
	delete(l.open, in.id)
	l.used[0] += in.cost - held.cost
	if held.other == 1 {
		l.used[1]--
	}
	return true
}

func (l *ledger) reserve(in quotaInput) quotaOutput {
	left := func(i int) int64 { return max(0, historyLimits[i].Max-l.used[i]) }
	switch {
	case left(0) < in.cost: // the rolling window lasts longer than the day
		if in.other == 2 && left(2) < 1 {
			return quotaOutput{refused: "2", left: [2]int64{left(2)}}
		}
		return quotaOutput{refused: "0", left: [2]int64{left(0)}}
	case left(in.other) < 1:
		return quotaOutput{refused: fmt.Sprint(in.other), left: [2]int64{left(in.other)}}
	}
	l.used[0] += in.cost
	l.used[in.other]++
	if l.open == nil {
		l.open = map[state.HoldID]quotaInput{}
	}
	l.open[in.id] = in
	return quotaOutput{done: true, left: [2]int64{left(0), left(in.other)}}
}
