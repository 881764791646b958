package statetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
)

// Quota tests that an engine counts what is taken, and refuses the rest.
func Quota(t *testing.T, open Open) {
	t.Helper()
	runAll(t, open, map[string]func(t *testing.T, s *Subject){
		"the most restrictive of four levels is named and nobody pays": fourLevels,
		"the one that lasts longest is named":                          longestRefusal,
		"a refusal says when to come again":                            comeAgain,
		"a hold that is open takes nothing again":                      reservedTwice,
		"a hold is settled once":                                       settledTwice,
		"a hold that is over counts as spent":                          expiredHold,
		"slots of a hold that is over are free":                        expiredSlots,
		"what charges must not be":                                     wrongCharges,
		"buckets with other windows are others":                        otherWindows,
		"a limit that is lowered applies at once":                      loweredLimit,
		"what was spent beyond the hold is charged":                    spentMore,
		"balances are written where the caller says":                   balancesInto,
		"128 workers take exactly 50,000 of 50,000":                    exactBudget,
		"T32: eight teams of workers share one limit":                  sharedLimit,
		"a budget of tokens is used up and not exceeded":               tokenBudget,
		"T33: what was produced is charged, whatever a client does":    chargedTricks,
	})
}

func day(most int64) *state.Limit {
	return &state.Limit{Kind: state.Calendar, Max: most, Period: state.Day, Durable: true}
}

func slots(most int64) *state.Limit { return &state.Limit{Kind: state.InFlight, Max: most} }

func hold(n int) state.HoldID { return state.HoldID{byte(n >> 16), byte(n >> 8), byte(n), 1} }

// reserves reserves and expects it to be granted.
func reserves(t *testing.T, s *Subject, id state.HoldID, ttl time.Duration, charges ...state.Charge) []state.Balance {
	t.Helper()
	got, err := s.Quota.Reserve(t.Context(), id, charges, ttl, nil)
	if err != nil {
		t.Fatalf("reserve: %v", err)
	}
	return got
}

// refused reserves and expects a refusal.
func refused(t *testing.T, s *Subject, id state.HoldID, ttl time.Duration, charges ...state.Charge) *state.Refusal {
	t.Helper()
	_, err := s.Quota.Reserve(t.Context(), id, charges, ttl, nil)
	refusal, ok := errors.AsType[*state.Refusal](err)
	if !ok {
		t.Fatalf("reserve: %v, want a refusal", err)
	}
	return refusal
}

func settled(t *testing.T, s *Subject, id state.HoldID, want bool, actual ...int64) {
	t.Helper()
	if got, err := s.Quota.Settle(t.Context(), id, actual); got != want || err != nil {
		t.Fatalf("settle: %v, %v, want %v", got, err, want)
	}
}

// uses is how much buckets hold.
func uses(t *testing.T, s *Subject, charges ...state.Charge) []int64 {
	t.Helper()
	for i := range charges {
		charges[i].Cost = 0
	}
	balances, err := s.Quota.Peek(t.Context(), charges, nil)
	if _, full := errors.AsType[*state.Refusal](err); err != nil && !full {
		t.Fatalf("peek: %v", err)
	}
	var out []int64
	for _, b := range balances {
		out = append(out, b.Limit-b.Remaining)
	}
	return out
}

func fourLevels(t *testing.T, s *Subject) {
	t.Helper()
	levels := func() []state.Charge {
		return []state.Charge{
			{Bucket: "org", Cost: 1, Limit: day(1000)},
			{Bucket: "team", Cost: 1, Limit: day(100)},
			{Bucket: "key", Cost: 1, Limit: day(10)},
			{Bucket: "user", Cost: 1, Limit: day(50)},
		}
	}
	for i := range 10 {
		reserves(t, s, hold(i), time.Minute, levels()...)
	}
	for range 5 {
		r := refused(t, s, hold(99), time.Minute, levels()...)
		if r.Charge != 2 || r.Bucket != "key" || r.Balance.Limit != 10 || r.Balance.Remaining != 0 || r.Cost != 1 {
			t.Errorf("refused by %+v", r)
		}
		if !strings.Contains(r.Error(), `"key"`) {
			t.Errorf("the error says %q", r.Error())
		}
	}
	if got := uses(t, s, levels()...); !slices.Equal(got, []int64{10, 10, 10, 10}) {
		t.Errorf("charged are %v", got)
	}
}

func longestRefusal(t *testing.T, s *Subject) {
	t.Helper()
	rate := &state.Limit{Kind: state.Rate, Max: 1, Refill: 1, Per: time.Second}
	both := []state.Charge{{Bucket: "slots", Cost: 1, Limit: slots(1)}, {Bucket: "rate", Cost: 1, Limit: rate}, {Bucket: "day", Cost: 1, Limit: day(1)}}
	reserves(t, s, hold(1), time.Hour, both...)
	if r := refused(t, s, hold(2), time.Hour, both...); r.Bucket != "day" {
		t.Errorf("refused by %+v", r)
	}
	if r := refused(t, s, hold(2), time.Hour, both[:2]...); r.Bucket != "rate" || r.RetryAfter != time.Second {
		t.Errorf("refused by %+v", r)
	}
	if r := refused(t, s, hold(2), time.Hour, both[0]); r.Bucket != "slots" || r.RetryAfter != 0 {
		t.Errorf("refused by %+v", r)
	}
	both[0].Cost = 2
	if r := refused(t, s, hold(2), time.Hour, both...); r.Bucket != "slots" || r.RetryAfter != state.Never {
		t.Errorf("refused by %+v", r)
	}
}

// comeAgain tries a millisecond before the time that a refusal tells, and at that time.
func comeAgain(t *testing.T, s *Subject) {
	t.Helper()
	for i, limit := range []*state.Limit{
		{Kind: state.Rate, Max: 10, Refill: 2, Per: time.Second},
		{Kind: state.Calendar, Max: 10, Period: state.Hour},
		{Kind: state.Rolling, Max: 10, Per: time.Minute},
	} {
		charge := state.Charge{Bucket: fmt.Sprint(i), Cost: 5, Limit: limit}
		reserves(t, s, state.HoldID{}, 0, charge)
		s.Advance(1500 * time.Millisecond)
		charge.Cost = 4
		reserves(t, s, state.HoldID{}, 0, charge)
		charge.Cost = 7
		wait := refused(t, s, state.HoldID{}, 0, charge).RetryAfter
		s.Advance(wait - time.Millisecond)
		refused(t, s, state.HoldID{}, 0, charge)
		s.Advance(time.Millisecond)
		reserves(t, s, state.HoldID{}, 0, charge)
	}
}

func reservedTwice(t *testing.T, s *Subject) {
	t.Helper()
	c := state.Charge{Bucket: "b", Cost: 7, Limit: day(10)}
	first := reserves(t, s, hold(1), time.Minute, c)
	if second := reserves(t, s, hold(1), time.Minute, c); !slices.Equal(first, second) {
		t.Errorf("%v, then %v", first, second)
	}
	settled(t, s, hold(1), true, 3)
	if got := uses(t, s, c); got[0] != 3 {
		t.Errorf("%d are charged", got[0])
	}
}

func settledTwice(t *testing.T, s *Subject) {
	t.Helper()
	c := state.Charge{Bucket: "b", Cost: 7, Limit: day(10)}
	reserves(t, s, hold(1), time.Minute, c)
	settled(t, s, hold(1), true, 2)
	settled(t, s, hold(1), false, 0)
	settled(t, s, hold(2), false, 0)
	if _, err := s.Quota.Extend(t.Context(), hold(1), nil, time.Minute, nil); !errors.Is(err, state.ErrNoHold) {
		t.Errorf("extend: %v", err)
	}
	if got := uses(t, s, c); got[0] != 2 {
		t.Errorf("%d are charged", got[0])
	}
}

func expiredHold(t *testing.T, s *Subject) {
	t.Helper()
	c := state.Charge{Bucket: "b", Cost: 7, Limit: &state.Limit{Kind: state.Rolling, Max: 10, Per: 24 * time.Hour}}
	reserves(t, s, hold(1), time.Minute, c)
	s.Advance(time.Minute)
	if got := uses(t, s, c); got[0] != 7 {
		t.Errorf("%d are charged after its time", got[0])
	}
	if _, err := s.Quota.Extend(t.Context(), hold(1), nil, time.Minute, nil); !errors.Is(err, state.ErrNoHold) {
		t.Errorf("extend: %v", err)
	}
	s.Advance(state.LateSettle / 2)
	settled(t, s, hold(1), true, 4)
	if got := uses(t, s, c); got[0] != 4 {
		t.Errorf("%d are charged when it is settled late", got[0])
	}
}

func expiredSlots(t *testing.T, s *Subject) {
	t.Helper()
	c := state.Charge{Bucket: "b", Cost: 1, Limit: slots(2)}
	reserves(t, s, hold(1), time.Minute, c)
	reserves(t, s, hold(2), time.Hour, c)
	refused(t, s, hold(3), time.Hour, c)
	if _, err := s.Quota.Extend(t.Context(), hold(1), nil, 2*time.Minute, nil); err != nil {
		t.Errorf("extend: %v", err)
	}
	s.Advance(119 * time.Second)
	refused(t, s, hold(3), time.Hour, c)
	s.Advance(time.Second)
	reserves(t, s, hold(3), time.Hour, c)
	settled(t, s, hold(1), true) // its slot is not released twice
	refused(t, s, hold(4), time.Hour, c)
	settled(t, s, hold(2), true)
	reserves(t, s, hold(4), time.Hour, c)
}

func wrongCharges(t *testing.T, s *Subject) {
	t.Helper()
	good := state.Charge{Bucket: "b", Cost: 1, Limit: day(10)}
	many := make([]state.Charge, state.MaxCharges+1)
	for i := range many {
		many[i] = state.Charge{Bucket: fmt.Sprint(i), Cost: 1, Limit: day(10)}
	}
	tests := map[string]struct {
		charges []state.Charge
		ttl     time.Duration
	}{
		"twice the same":   {[]state.Charge{good, good}, time.Minute},
		"too many":         {many, time.Minute},
		"negative cost":    {[]state.Charge{{Bucket: "b", Cost: -1, Limit: day(10)}}, time.Minute},
		"a long name":      {[]state.Charge{{Bucket: strings.Repeat("x", state.MaxBucket+1), Cost: 1, Limit: day(10)}}, 0},
		"negative time":    {[]state.Charge{good}, -1},
		"no limit":         {[]state.Charge{{Bucket: "b", Cost: 1}}, time.Minute},
		"a wrong limit":    {[]state.Charge{{Bucket: "c", Cost: 1, Limit: &state.Limit{Kind: state.Rate, Max: 1}}}, time.Minute},
		"slots for good":   {[]state.Charge{{Bucket: "b", Cost: 1, Limit: slots(1)}}, 0},
		"a hold on none":   {nil, time.Minute},
		"a wrong one last": {[]state.Charge{good, {Bucket: "c", Cost: 1, Limit: &state.Limit{}}}, 0},
	}
	for name, test := range tests {
		_, err := s.Quota.Reserve(t.Context(), hold(1), test.charges, test.ttl, nil)
		if _, ok := errors.AsType[*state.Refusal](err); err == nil || ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	longest := state.Charge{Bucket: strings.Repeat("x", state.MaxBucket), Cost: 1, Limit: day(10)}
	reserves(t, s, state.HoldID{}, 0, longest)
	reserves(t, s, hold(1), time.Minute, many[:state.MaxCharges]...)
	if _, err := s.Quota.Settle(t.Context(), hold(1), []int64{-1}); err == nil {
		t.Error("a negative cost was settled")
	}
	if _, err := s.Quota.Extend(t.Context(), hold(1), []int64{-1}, 0, nil); err == nil {
		t.Error("a hold was extended by less than nothing")
	}
	if _, err := s.Quota.Extend(t.Context(), hold(1), make([]int64, state.MaxCharges+1), 0, nil); err == nil {
		t.Error("more was extended than is held")
	}
	if _, _, err := s.Quota.Lease(t.Context(), hold(2), state.Charge{Bucket: "b", Limit: day(10)}, time.Minute); err == nil {
		t.Error("nothing was leased")
	}
	if got := uses(t, s, good, many[0], many[state.MaxCharges]); !slices.Equal(got, []int64{0, 1, 0}) {
		t.Errorf("charged are %v", got)
	}
}

func otherWindows(t *testing.T, s *Subject) {
	t.Helper()
	hour := &state.Limit{Kind: state.Calendar, Max: 10, Period: state.Hour}
	reserves(t, s, state.HoldID{}, 0, state.Charge{Bucket: "b", Cost: 7, Limit: day(10)})
	reserves(t, s, state.HoldID{}, 0, state.Charge{Bucket: "b", Cost: 4, Limit: hour}, state.Charge{Bucket: "b", Cost: 1, Limit: day(10)})
	if got := uses(t, s, state.Charge{Bucket: "b", Limit: day(10)}, state.Charge{Bucket: "b", Limit: hour}); !slices.Equal(got, []int64{8, 4}) {
		t.Errorf("charged are %v", got)
	}
}

func loweredLimit(t *testing.T, s *Subject) {
	t.Helper()
	reserves(t, s, state.HoldID{}, 0, state.Charge{Bucket: "b", Cost: 7, Limit: day(10)})
	if r := refused(t, s, state.HoldID{}, 0, state.Charge{Bucket: "b", Cost: 1, Limit: day(7)}); r.Balance.Limit != 7 || r.Balance.Remaining != 0 {
		t.Errorf("refused by %+v", r)
	}
	reserves(t, s, state.HoldID{}, 0, state.Charge{Bucket: "b", Cost: 1, Limit: day(8)})
}

func spentMore(t *testing.T, s *Subject) {
	t.Helper()
	c := state.Charge{Bucket: "b", Cost: 7, Limit: &state.Limit{Kind: state.Calendar, Max: 10, Period: state.Hour}}
	reserves(t, s, hold(1), time.Minute, c)
	settled(t, s, hold(1), true, 12)
	if r := refused(t, s, hold(2), time.Minute, state.Charge{Bucket: "b", Limit: c.Limit}); r.Balance.Remaining != 0 {
		t.Errorf("refused by %+v", r)
	}
	s.Advance(time.Hour)
	reserves(t, s, hold(3), time.Minute, state.Charge{Bucket: "b", Cost: 10, Limit: c.Limit})
}

func balancesInto(t *testing.T, s *Subject) {
	t.Helper()
	into := make([]state.Balance, 0, 4)
	got, err := s.Quota.Reserve(t.Context(), hold(1), []state.Charge{{Bucket: "b", Cost: 1, Limit: slots(3)}}, time.Minute, into)
	if err != nil || len(got) != 1 || &got[0] != &into[:1][0] || got[0] != (state.Balance{Limit: 3, Remaining: 2}) {
		t.Errorf("balances are %v, %v", got, err)
	}
}

func exactBudget(t *testing.T, s *Subject) {
	t.Helper()
	crowdBudget(t, s, 128, "budget", day(50_000), 50_000)
}

func sharedLimit(t *testing.T, s *Subject) {
	t.Helper()
	crowdBudget(t, s, 8*16, "budget", &state.Limit{Kind: state.Rolling, Max: 50_000, Per: 24 * time.Hour, Durable: true}, 50_000)
}

// crowdBudget has workers take one by one until they are refused.
func crowdBudget(t *testing.T, s *Subject, workers int, bucket string, limit *state.Limit, want int) {
	t.Helper()
	var wg sync.WaitGroup
	admitted := make([]int, workers)
	for w := range workers {
		wg.Go(func() {
			own := state.Charge{Bucket: fmt.Sprint("key ", w), Cost: 1, Limit: day(1 << 40)}
			var balances []state.Balance
			for {
				var err error
				balances, err = s.Quota.Reserve(t.Context(), state.HoldID{}, []state.Charge{{Bucket: bucket, Cost: 1, Limit: limit}, own}, 0, balances)
				if _, ok := errors.AsType[*state.Refusal](err); ok {
					return
				}
				if err != nil {
					t.Errorf("reserve: %v", err)
					return
				}
				admitted[w]++
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range admitted {
		total += n
	}
	if total != want {
		t.Errorf("%d were admitted", total)
	}
}
