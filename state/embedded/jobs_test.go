package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/headgate/headgate/state"
	"github.com/headgate/headgate/state/statetest"
)

func TestJobs(t *testing.T) {
	t.Parallel()
	statetest.Jobs(t, subject)
}

func TestJobsHistory(t *testing.T) {
	t.Parallel()
	statetest.JobsHistory(t, subject)
}

func spec(id string) state.JobSpec {
	return state.JobSpec{ID: id, Owner: "ann", Tenant: "acme", Class: "default", Payload: []byte("do " + id), Attempts: 2, Keep: time.Hour}
}

func enqueued(tb testing.TB, e *Engine, spec state.JobSpec) {
	tb.Helper()
	if _, existing, err := e.Jobs().Enqueue(tb.Context(), spec); existing || err != nil {
		tb.Fatalf("enqueue: %v, %v", existing, err)
	}
}

func claimed(tb testing.TB, e *Engine) state.Claim {
	tb.Helper()
	c, err := e.Jobs().Claim(tb.Context(), []string{"default"}, time.Hour)
	if err != nil {
		tb.Fatalf("claim: %v", err)
	}
	return c
}

func stands(tb testing.TB, e *Engine, id string, want state.JobState, attempt int, result string) {
	tb.Helper()
	got, err := e.Jobs().Get(tb.Context(), id, "ann")
	if err != nil || got.State != want || got.Attempt != attempt || string(got.Result) != result {
		tb.Errorf("job %q: %+v, %v, want state %v, attempt %d, result %q", id, got, err, want, attempt, result)
	}
}

// Whenever the process is killed, the file has what was acknowledged. Who ran a job
// is gone with the process, so that the job is there for another at once.
func TestACrashLosesNoJob(t *testing.T) {
	t.Parallel()
	path := inFolder(t)
	e := opened(t, path, Options{})
	defer closed(t, e)
	after := func(check func(left *Engine)) {
		t.Helper()
		left := opened(t, copied(t, path), Options{})
		defer closed(t, left)
		check(left)
	}
	first, once := spec("a"), spec("once")
	first.Key = "k"
	once.Class, once.Attempts = "once", 1
	enqueued(t, e, once)
	enqueued(t, e, first)
	after(func(left *Engine) {
		stands(t, left, "a", state.JobQueued, 0, "")
		again := spec("b")
		again.Key = "k"
		if id, existing, err := left.Jobs().Enqueue(t.Context(), again); id != "a" || !existing || err != nil {
			t.Errorf("its key leads to %q, %v, %v", id, existing, err)
		}
		enqueued(t, left, spec("later"))
		if c := claimed(t, left); string(c.Job.Payload) != "do a" {
			t.Errorf("its payload is %q", c.Job.Payload)
		}
	})
	c := claimed(t, e)
	if _, err := e.Jobs().Claim(t.Context(), []string{"once"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	after(func(left *Engine) {
		again := claimed(t, left)
		if again.Job.ID != "a" || again.Job.Attempt != 2 || again.Fence <= c.Fence {
			t.Errorf("claimed again: %+v, after %+v", again, c)
		}
		waitFor(t, left, "once", state.JobFailed)
	})
	if err := e.Jobs().Complete(t.Context(), "a", c.Fence, []byte("1")); err != nil {
		t.Fatal(err)
	}
	after(func(left *Engine) { stands(t, left, "a", state.JobSucceeded, 1, "1") })
	if _, err := e.Jobs().Cancel(t.Context(), "once", "ann"); err != nil {
		t.Fatal(err)
	}
	after(func(left *Engine) { stands(t, left, "once", state.JobCancelled, 1, "") })
}

// waitFor waits until a job is in a state that nobody but the engine brings it to.
func waitFor(tb testing.TB, e *Engine, id string, want state.JobState) {
	tb.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		got, err := e.Jobs().Get(tb.Context(), id, "ann")
		if err == nil && got.State == want {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("job %q: %+v, %v, want state %v", id, got, err, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// What the disk does not take is not acknowledged, and is not seen.
func TestJobsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := opened(t, inFolder(t), Options{})
		enqueued(t, e, spec("a"))
		c := claimed(t, e)
		enqueued(t, e, spec("b"))
		if err := e.db.Close(); err != nil {
			t.Fatal(err)
		}
		keyed := spec("c")
		keyed.Key = "k"
		for range 2 {
			if _, existing, err := e.Jobs().Enqueue(t.Context(), keyed); existing || !errors.Is(err, state.ErrUnavailable) {
				t.Errorf("enqueue: %v, %v", existing, err)
			}
		}
		if err := e.Jobs().Complete(t.Context(), "a", c.Fence, []byte("1")); !errors.Is(err, state.ErrUnavailable) {
			t.Errorf("complete: %v", err)
		}
		if _, err := e.Jobs().Claim(t.Context(), []string{"default"}, time.Hour); !errors.Is(err, state.ErrUnavailable) {
			t.Errorf("claim: %v", err)
		}
		if _, err := e.Jobs().Cancel(t.Context(), "b", "ann"); !errors.Is(err, state.ErrUnavailable) {
			t.Errorf("cancel: %v", err)
		}
		stands(t, e, "a", state.JobRunning, 1, "")
		stands(t, e, "b", state.JobQueued, 0, "")
		if _, err := e.Jobs().Get(t.Context(), "c", "ann"); !errors.Is(err, state.ErrNoJob) {
			t.Errorf("get: %v", err)
		}
		time.Sleep(2 * time.Hour) // its worker is given up, again and again
		stands(t, e, "a", state.JobRunning, 1, "")
		if err := e.Close(t.Context()); !errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
			t.Errorf("close: %v", err)
		}
	})
}

func TestJobsAreBounded(t *testing.T) {
	t.Parallel()
	e := opened(t, inFolder(t), Options{Jobs: 3, JobBytes: 100})
	defer closed(t, e)
	large := spec("large")
	large.Payload = make([]byte, 101)
	full := func(s state.JobSpec) {
		t.Helper()
		if _, _, err := e.Jobs().Enqueue(t.Context(), s); !errors.Is(err, state.ErrUnavailable) {
			t.Errorf("enqueue: %v", err)
		}
	}
	full(large)
	large.Payload = large.Payload[:90]
	enqueued(t, e, large)
	full(spec("a long name"))
	if err := e.Jobs().Complete(t.Context(), "large", claimed(t, e).Fence, []byte("1")); err != nil {
		t.Fatal(err)
	}
	enqueued(t, e, spec("a"))
	enqueued(t, e, spec("b"))
	full(spec("c"))
	if left := e.jobs.bytes; left != 100-1-4-4 {
		t.Errorf("%d bytes are left", left)
	}
}

// What is over leaves the file.
func TestJobsThatAreOverLeaveTheFile(t *testing.T) {
	t.Parallel()
	path := inFolder(t)
	synctest.Test(t, func(t *testing.T) {
		e := opened(t, path, Options{})
		keyed := spec("a")
		keyed.Key = "k"
		for _, s := range []state.JobSpec{keyed, spec("b")} {
			enqueued(t, e, s)
			if err := e.Jobs().Complete(t.Context(), s.ID, claimed(t, e).Fence, []byte("1")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Hour)
		closed(t, e)
	})
	count := func(want ...int) {
		t.Helper()
		db, _, err := openFile(path, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for i, name := range []string{jobBucket, payloadBucket, resultBucket} {
			n := 0
			if err := readBucket(db, name, func(string, []byte) error { n++; return nil }); err != nil || n != want[i] {
				t.Errorf("%s: %d, %v, want %d", name, n, err, want[i])
			}
		}
	}
	count(1, 0, 0) // the key is good for a day
	synctest.Test(t, func(t *testing.T) {
		e := opened(t, path, Options{})
		time.Sleep(25 * time.Hour)
		closed(t, e)
	})
	count(0, 0, 0)
}

func TestAClosedEngineTakesNoJobs(t *testing.T) {
	t.Parallel()
	e := opened(t, inFolder(t), Options{})
	waits := make(chan error)
	go func() {
		_, err := e.Jobs().Claim(t.Context(), []string{"default"}, time.Hour)
		waits <- err
	}()
	closed(t, e)
	if err := <-waits; !errors.Is(err, state.ErrClosed) {
		t.Errorf("claim: %v", err)
	}
	if _, _, err := e.Jobs().Enqueue(t.Context(), spec("a")); !errors.Is(err, state.ErrClosed) {
		t.Errorf("enqueue: %v", err)
	}
}

func FuzzJobRecord(f *testing.F) {
	r := jobRecord{owner: "ann", tenant: "acme", class: "default", key: "k", digest: "d", label: "l", queued: 9, state: state.JobRunning, attempts: 3, fence: 7, created: 1, lost: true}
	f.Add("a", r.encode("a"))
	f.Add("b", (&jobRecord{state: state.JobDead, forgotten: true}).encode("b"))
	f.Add("", []byte{jobForm})
	f.Add("c", firstForm("c"))
	f.Fuzz(func(t *testing.T, id string, text []byte) {
		var r jobRecord
		if r.decode(id, text) == nil && text[0] == jobForm && !bytes.Equal(r.encode(id), text) {
			t.Errorf("%x became %x", text, r.encode(id))
		}
	})
}

// firstForm is a queued job as the first version wrote it.
func firstForm(id string) []byte {
	out := []byte{firstJobForm, byte(state.JobQueued), 0}
	for n := range int64(12) {
		out = binary.AppendVarint(out, n+1)
	}
	for _, s := range []string{"ann", "acme", "default", "k"} {
		out = append(append(out, byte(len(s))), s...)
	}
	return sealed(id, out)
}

func TestAJobOfTheFirstVersionIsRead(t *testing.T) {
	t.Parallel()
	var got jobRecord
	if err := got.decode("a", firstForm("a")); err != nil {
		t.Fatal(err)
	}
	want := jobRecord{
		owner: "ann", tenant: "acme", class: "default", key: "k", state: state.JobQueued, attempt: 1, attempts: 2, fence: 3, order: 4,
		created: 5, started: 6, finished: 7, notBefore: 8, keep: 9, until: 10, keyUntil: 11, size: 12, queued: 5,
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Others are not to learn from how long it takes that there is such a job.
func TestCancelWaitsForTheOwnersJobsAlone(t *testing.T) {
	t.Parallel()
	e := opened(t, inFolder(t), Options{})
	defer closed(t, e)
	enqueued(t, e, spec("a"))
	busy := func(is bool) {
		e.jobs.mu.Lock()
		defer e.jobs.mu.Unlock()
		e.jobs.jobs["a"].busy = is
		e.jobs.idle.Broadcast()
	}
	busy(true)
	if _, err := e.Jobs().Cancel(t.Context(), "a", "bob"); !errors.Is(err, state.ErrNoJob) { // which would never return
		t.Errorf("cancel: %v", err)
	}
	busy(false)
	if stands, err := e.Jobs().Cancel(t.Context(), "a", "ann"); stands != state.JobCancelled || err != nil {
		t.Errorf("cancel: %v, %v", stands, err)
	}
}

// BenchmarkEnqueue is durable: each is on disk when it is counted.
func BenchmarkEnqueue(b *testing.B) {
	e := opened(b, inFolder(b), Options{Jobs: 1 << 30})
	defer closed(b, e)
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s := spec(strconv.FormatInt(n.Add(1), 36))
			s.Payload = make([]byte, 1024)
			if _, _, err := e.Jobs().Enqueue(b.Context(), s); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func TestJobsMachine(t *testing.T) {
	t.Parallel()
	statetest.JobsMachine(t, subject)
}
