package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/headgate/headgate/state"
)

// content is all that an engine says of its jobs, budgets and conversations.
type content struct {
	Jobs    []state.Job
	Said    []state.History
	Results map[string]string
	Budgets []int64
}

func contentOf(tb testing.TB, e *Engine) (out content) {
	tb.Helper()
	var err error
	if out.Jobs, err = e.Jobs().List(tb.Context(), state.JobFilter{Limit: 1000}); err != nil {
		tb.Fatal(err)
	}
	out.Results = map[string]string{}
	for _, j := range out.Jobs {
		got, err := e.Jobs().Get(tb.Context(), j.ID, "ann")
		if err != nil {
			tb.Fatal(err)
		}
		out.Results[j.ID] = string(got.Result)
	}
	out.Budgets = inBudgets(tb, e, 10_000)
	for i := range 10 {
		h, err := e.Conversations().Recall(tb.Context(), fmt.Sprint(i), "m")
		if err != nil {
			tb.Fatal(err)
		}
		out.Said = append(out.Said, h)
	}
	return out
}

// filled is a file with jobs in several states, some of which have left room again, and
// budgets.
func filled(tb testing.TB) (string, content) {
	tb.Helper()
	path := inFolder(tb)
	e := opened(tb, path, Options{})
	for i := range 60 {
		s := spec(fmt.Sprintf("job %02d", i))
		s.Payload = bytes.Repeat([]byte{byte(i)}, i*97)
		enqueued(tb, e, s)
		if i%2 == 0 {
			c := claimed(tb, e)
			if err := e.Jobs().Complete(tb.Context(), c.Job.ID, c.Fence, []byte("done "+c.Job.ID)); err != nil {
				tb.Fatal(err)
			}
		}
		if _, err := e.Quota().Reserve(tb.Context(), state.HoldID{}, costing(budgets(10_000), 7), 0, nil); err != nil {
			tb.Fatal(err)
		}
	}
	for i := range 10 {
		key, terms := fmt.Sprint(i), state.ConversationTerms{Idle: time.Hour, Most: time.Hour}
		if err := e.Conversations().Open(tb.Context(), key, terms); err != nil {
			tb.Fatal(err)
		}
		for j := range 2 * i {
			turn := state.Turn{Data: bytes.Repeat([]byte{byte(j)}, j*50), Context: []byte(key), After: uint64(j)}
			if err := e.Conversations().Add(tb.Context(), key, "m", turn, state.ConversationBounds{Turns: 10, Bytes: 10_000}); err != nil {
				tb.Fatal(err)
			}
		}
	}
	all := contentOf(tb, e)
	closed(tb, e)
	return path, all
}

// F15: a file that is cut, or in which bits are flipped, is refused with the way to
// repair it, or all in it is as it was written, and stays so when more is written.
func TestF15_DamagedFile(t *testing.T) {
	t.Parallel()
	path, want := filled(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(15, 15))
	refused := 0
	heads := 2 * os.Getpagesize() // where the newer of them is damaged the older holds, as after a power failure
	for range many(3000, 120) {
		at := heads + random.IntN(len(whole)-heads)
		text := bytes.Clone(whole)
		if random.IntN(5) == 0 {
			text = text[:at]
		} else {
			text[at] ^= 1 << random.IntN(8)
		}
		if !undamaged(t, text, want) {
			refused++
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

func undamaged(t *testing.T, text []byte, want content) bool {
	t.Helper()
	path := inFolder(t)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := Open(path, Options{Log: discard, LockWait: time.Second})
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("refused as %v", err)
		}
		return false
	}
	if diff := cmp.Diff(want, contentOf(t, e)); diff != "" {
		t.Errorf("opened with other content (-want +got): %s", diff)
	}
	more := spec("one more")
	more.Class, more.Payload = "other", bytes.Repeat([]byte{9}, 9000)
	enqueued(t, e, more)
	closed(t, e)
	e = opened(t, path, Options{})
	defer closed(t, e)
	got := contentOf(t, e)
	got.Jobs = got.Jobs[:len(got.Jobs)-1]
	delete(got.Results, more.ID)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after more was written (-want +got): %s", diff)
	}
	return true
}

// What is missing is missed, even where what is left looks whole.
func TestF15_WhatIsGoneIsMissed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(tx *bbolt.Tx) error
		sound  bool
	}{
		"an entry": {change: func(tx *bbolt.Tx) error { return tx.Bucket([]byte(resultBucket)).Delete([]byte("job 00")) }},
		"a bucket": {change: func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(budgetBucket)) }},
		"all": {change: func(tx *bbolt.Tx) (err error) {
			for _, name := range append([]string{sumBucket}, buckets...) {
				err = errors.Join(err, tx.DeleteBucket([]byte(name)))
			}
			return err
		}},
		"a sum": {change: func(tx *bbolt.Tx) error { return tx.Bucket([]byte(sumBucket)).Delete([]byte(jobBucket)) }},
		"nothing, but there is more": {change: func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("more"))
			return err
		}},
		"sums, in a file that is older than they": {sound: true, change: func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(sumBucket)) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, want := filled(t)
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Update(test.change), db.Close()); err != nil {
				t.Fatal(err)
			}
			if sound := undamaged(t, contentFile(t, path), want); sound != test.sound {
				t.Errorf("it opens: %v", sound)
			}
		})
	}
}
