package embedded

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/headgate/headgate/state"
)

func budgets(most int64) []state.Charge {
	return []state.Charge{
		{Bucket: "day", Limit: &state.Limit{Kind: state.Calendar, Max: most, Period: state.Day, Durable: true}},
		{Bucket: "rolling", Limit: &state.Limit{Kind: state.Rolling, Max: most, Per: 100 * time.Hour, Durable: true}},
	}
}

func costing(charges []state.Charge, cost int64) []state.Charge {
	for i := range charges {
		charges[i].Cost = cost
	}
	return charges
}

// inBudgets is what budgets hold.
func inBudgets(tb testing.TB, e *Engine, most int64) []int64 {
	tb.Helper()
	balances, err := e.Quota().Peek(tb.Context(), budgets(most), nil)
	if err != nil {
		tb.Fatal(err)
	}
	var out []int64
	for _, b := range balances {
		out = append(out, b.Limit-b.Remaining)
	}
	return out
}

// After a crash all that was granted is spent, and beside it no more than one block.
func TestACrashLosesAtMostABlockOfABudget(t *testing.T) {
	t.Parallel()
	const most = 40_000
	path := inFolder(t)
	e := opened(t, path, Options{})
	defer closed(t, e)
	into := make([]state.Balance, 0, 2)
	spent, id := int64(0), state.HoldID{1}
	for i := range int64(60) {
		if _, err := e.Quota().Reserve(t.Context(), state.HoldID{}, costing(budgets(most), 3*i), 0, into); err != nil {
			t.Fatal(err)
		}
		spent += 3 * i
		id[1]++
		if _, err := e.Quota().Reserve(t.Context(), id, costing(budgets(most), 500), time.Minute, into); err != nil {
			t.Fatal(err)
		}
		actual := i % 7 * 100 // sometimes more than was held
		if _, err := e.Quota().Settle(t.Context(), id, []int64{actual, actual}); err != nil {
			t.Fatal(err)
		}
		spent += actual
		atLeast, atMost := spent, spent+(most-spent)/blockShare
		if err := e.writes.sync(t.Context()); err != nil { // what was given back is written in passing
			t.Fatal(err)
		}
		left := opened(t, copied(t, path), Options{})
		for j, n := range inBudgets(t, left, most) {
			if n < atLeast || n > atMost {
				t.Errorf("%d: after a crash %s has %d, want %d to %d", i, budgets(most)[j].Bucket, n, atLeast, atMost)
			}
		}
		closed(t, left)
	}
}

// Whenever the process is killed, the file has what was granted at that time.
func TestNoGrantIsBeforeTheFile(t *testing.T) {
	t.Parallel()
	path := inFolder(t)
	e := opened(t, path, Options{})
	defer closed(t, e)
	for i := range int64(40) {
		if _, err := e.Quota().Reserve(t.Context(), state.HoldID{}, costing(budgets(50), 1), 0, nil); err != nil {
			t.Fatal(err)
		}
		left := opened(t, copied(t, path), Options{})
		if got := inBudgets(t, left, 50); !cmp.Equal(got, []int64{i + 1, i + 1}) {
			t.Errorf("after %d a crash leaves %v", i+1, got)
		}
		closed(t, left)
	}
}

// A block is of the window in which it was written: the next one begins with nothing.
func TestNoGrantIsFromTheBlockOfAnEarlierWindow(t *testing.T) {
	t.Parallel()
	path := inFolder(t)
	e := opened(t, path, Options{})
	defer closed(t, e)
	spend := func(cost int64) {
		t.Helper()
		if _, err := e.Quota().Reserve(t.Context(), state.HoldID{}, costing(budgets(10_000), cost), 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, later := range []time.Duration{2 * time.Hour, 200 * time.Hour} {
		spend(30)
		if err := e.writes.sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.quota.clock.wall += int64(later)
		before := inBudgets(t, e, 10_000)
		spend(1)
		left := opened(t, copied(t, path), Options{})
		left.quota.clock.wall = e.quota.clock.wall
		for i, n := range inBudgets(t, left, 10_000) {
			if n <= before[i] {
				t.Errorf("%v later, a crash leaves %d in %s, which had %d before the last", later, n, budgets(1)[i].Bucket, before[i])
			}
		}
		closed(t, left)
	}
}

// What the file was told to take back is not granted from it any more, whether it has
// done so yet or not.
func TestABlockThatIsTakenBackIsNotGranted(t *testing.T) {
	t.Parallel()
	const most = 10_000
	writes := newCommitter(nil, nil)
	q := newQuota(newClock(), writes, Options{}.withDefaults())
	for _, c := range budgets(most) {
		b, h := &bucket{key: c.Bucket, limit: c.Limit}, &held{}
		b.advance(time.Now().UnixNano())
		b.take(h, most/2)
		if !q.keep(b) {
			t.Errorf("%s: nobody waits for the file", c.Bucket)
		}
		first := writes.next()
		b.giveBack(h, most/2)
		q.keep(b)
		for _, done := range first.after { // the first is in the file, and the second is not yet
			done()
		}
		if b.budget.sure > b.budget.asked || b.budget.asked > most/blockShare {
			t.Errorf("%s: %+v", c.Bucket, b.budget)
		}
		second := writes.next()
		b.advance(b.end + int64(1000*time.Hour))
		b.take(h, 100)
		q.keep(b)
		for _, done := range second.after { // of a window that is over
			done()
		}
		if b.budget.sure != 0 {
			t.Errorf("%s: before the file has it, %+v", c.Bucket, b.budget)
		}
		third := writes.next()
		for _, done := range third.after {
			done()
		}
		if b.giveBack(h, 100); b.budget.sure < 100 {
			t.Errorf("%s: when the file has it, %+v", c.Bucket, b.budget)
		}
		if q.keep(b); b.budget.sure >= 100 {
			t.Errorf("%s: when it is to be taken back, %+v", c.Bucket, b.budget)
		}
	}
}

func TestAnOrderlyEndLosesNothingOfABudget(t *testing.T) {
	t.Parallel()
	const most = 1_000_000
	path := inFolder(t)
	for i := range int64(3) {
		e := opened(t, path, Options{})
		if got := inBudgets(t, e, most); !cmp.Equal(got, []int64{i * 10, i * 10}) {
			t.Errorf("opened %d times: %v", i, got)
		}
		if _, err := e.Quota().Reserve(t.Context(), state.HoldID{1}, costing(budgets(most), 700), time.Minute, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Quota().Settle(t.Context(), state.HoldID{1}, []int64{10, 10}); err != nil {
			t.Fatal(err)
		}
		closed(t, e)
		if _, err := e.Quota().Reserve(t.Context(), state.HoldID{2}, costing(budgets(most), 700), time.Minute, nil); !errors.Is(err, state.ErrClosed) {
			t.Errorf("reserve: %v", err)
		}
	}
}

// T35: whoever sets the clock back begins no new window, and while the gateway runs
// the clock on the wall is not read at all.
func TestT35_ClocksThatAreSet(t *testing.T) {
	t.Parallel()
	path := inFolder(t)
	e := opened(t, path, Options{})
	e.quota.clock.wall += int64(26 * time.Hour) // as if the clock was a day ahead
	if _, err := e.Quota().Reserve(t.Context(), state.HoldID{}, costing(budgets(1000), 900), 0, nil); err != nil {
		t.Fatal(err)
	}
	closed(t, e)

	e = opened(t, path, Options{})
	defer closed(t, e)
	if got := inBudgets(t, e, 1000); !cmp.Equal(got, []int64{900, 900}) {
		t.Errorf("a clock that was set back leaves %v", got)
	}
	if wall := e.clock.opened.Round(0); wall == e.clock.opened {
		t.Error("time is told by the wall clock")
	}
}

// A budget whose file cannot be written grants what the file has, and nothing more.
func TestABudgetThatCannotBeWrittenIsClosed(t *testing.T) {
	t.Parallel()
	const most = 100_000
	e := opened(t, inFolder(t), Options{})
	if _, err := e.Quota().Reserve(t.Context(), state.HoldID{}, costing(budgets(most), 1), 0, nil); err != nil {
		t.Fatal(err)
	}
	if err := e.db.Close(); err != nil {
		t.Fatal(err)
	}
	granted := int64(0)
	var err error
	for i := byte(0); err == nil && granted < most; i++ {
		if _, err = e.Quota().Reserve(t.Context(), state.HoldID{i}, costing(budgets(most), 100), time.Minute, nil); err == nil {
			granted += 100
		}
	}
	if granted > most/blockShare || !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("granted %d, then %v", granted, err)
	}
	if got := inBudgets(t, e, most); !cmp.Equal(got, []int64{granted + 1, granted + 1}) {
		t.Errorf("charged are %v of %d", got, granted)
	}
	for id, more := range map[state.HoldID][]int64{{0}: {most / 2, 0}} {
		if _, err := e.Quota().Extend(t.Context(), id, more, time.Hour, nil); !errors.Is(err, state.ErrUnavailable) {
			t.Errorf("extend: %v", err)
		}
	}
	if got := inBudgets(t, e, most); !cmp.Equal(got, []int64{granted + 1, granted + 1}) {
		t.Errorf("after the extension charged are %v", got)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	if err := e.Close(ctx); !errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		t.Errorf("close: %v", err)
	}
}

func TestQuotasAreBounded(t *testing.T) {
	t.Parallel()
	e := opened(t, inFolder(t), Options{Buckets: 4 * shardCount, Holds: shardCount})
	defer closed(t, e)
	q := e.Quota()
	rate := &state.Limit{Kind: state.Rate, Max: 10, Refill: 1, Per: time.Hour}
	important := costing(budgets(10), 9)
	if _, err := q.Reserve(t.Context(), state.HoldID{}, important, 0, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 64 * shardCount {
		charge := state.Charge{Bucket: string(rune('a'+i%999)) + string(rune('a'+i/999)), Cost: 1, Limit: rate}
		if _, err := q.Reserve(t.Context(), state.HoldID{}, []state.Charge{charge}, 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	count := 0
	for i := range q.shards {
		count += q.shards[i].count
	}
	if count > 4*shardCount {
		t.Errorf("%d buckets are there", count)
	}
	if got := inBudgets(t, e, 10); !cmp.Equal(got, []int64{9, 9}) {
		t.Errorf("for rates the budgets were forgotten: %v", got)
	}
	var err error
	for i := 0; err == nil && i < 2*shardCount; i++ {
		_, err = q.Reserve(t.Context(), state.HoldID{byte(i), byte(i >> 8)}, []state.Charge{{Bucket: "b", Cost: 1, Limit: rate}}, time.Minute, nil)
		if refusal := (*state.Refusal)(nil); errors.As(err, &refusal) {
			err = nil // the rate is no matter here
		}
	}
	if err != nil && !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("holds without end: %v", err)
	}
}

// What is empty is forgotten, in the file too.
func TestEmptyBucketsAreForgotten(t *testing.T) {
	t.Parallel()
	path := inFolder(t)
	e := opened(t, path, Options{})
	if _, err := e.Quota().Reserve(t.Context(), state.HoldID{1}, costing(budgets(10), 9), time.Minute, nil); err != nil {
		t.Fatal(err)
	}
	e.quota.clock.wall += int64(105 * time.Hour)
	e.quota.forget()
	for i := range e.quota.shards {
		if e.quota.shards[i].count > 0 || len(e.quota.shards[i].buckets) > 0 {
			t.Error("a bucket is left")
		}
	}
	closed(t, e)
	e = opened(t, path, Options{})
	defer closed(t, e)
	if got := inBudgets(t, e, 10); !cmp.Equal(got, []int64{0, 0}) {
		t.Errorf("in the file are %v", got)
	}
}

func FuzzBudgetRecord(f *testing.F) {
	for _, c := range costing(budgets(100), 7) {
		b := &bucket{key: c.Bucket, limit: c.Limit}
		b.advance(time.Now().UnixNano())
		b.take(&held{}, 7)
		b.budget.asked = 9
		key := b.fileKey()
		f.Add(key, b.encode(key))
		for i := range int64(5) {
			b.advance(time.Now().Add(time.Duration(i*i) * 2 * time.Hour).UnixNano())
			b.take(&held{}, 3+i)
		}
		f.Add(key, b.encode(key))
	}
	f.Add("day\x00c3 UTC", []byte{budgetForm})
	f.Add("a\x00r", []byte{})
	f.Fuzz(func(t *testing.T, key string, text []byte) {
		b, err := decodeBudget(key, text)
		if err != nil {
			return
		}
		if got := b.fileKey(); got != key {
			t.Errorf("key %q became %q", key, got)
		}
		if got := b.encode(key); !bytes.Equal(got, text) {
			t.Errorf("%x became %x", text, got)
		}
	})
}
