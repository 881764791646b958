package embedded

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/headgate/headgate/state"
	"github.com/headgate/headgate/state/statetest"
)

func TestSessions(t *testing.T) {
	t.Parallel()
	statetest.Sessions(t, func(tb testing.TB) (state.Sessions, func()) {
		tb.Helper()
		e := opened(tb, inFolder(tb), Options{})
		return e.Sessions(), func() { closed(tb, e) }
	})
}

func TestSessionsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	path := inFolder(t)
	statetest.Reopened(t, func(tb testing.TB) (state.Sessions, func()) {
		tb.Helper()
		e := opened(tb, path, Options{})
		return e.Sessions(), func() { closed(tb, e) }
	})
}

// What End acknowledged is in the file at that moment, whatever happens afterwards.
func TestAnEndIsOnDiskWhenItIsAcknowledged(t *testing.T) {
	t.Parallel()
	path := inFolder(t)
	e := opened(t, path, Options{})
	defer closed(t, e)
	until := time.Now().Add(time.Hour)
	for i := range 20 {
		key := fmt.Sprint(i)
		if err := e.Sessions().End(t.Context(), key, until); err != nil {
			t.Fatal(err)
		}
		left := opened(t, copied(t, path), Options{})
		if got, _ := left.Sessions().Recall(key); !got.Ended {
			t.Errorf("a crash after the end of %q brings it back", key)
		}
		closed(t, left)
	}
}

// copied is the file as a process that is killed now would leave it.
func copied(tb testing.TB, path string) string {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	to := inFolder(tb)
	if err := os.WriteFile(to, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return to
}

func TestAnEngineIsBounded(t *testing.T) {
	t.Parallel()
	path := inFolder(t)
	e := opened(t, path, Options{Sessions: 4 * shardCount})
	now := time.Now()
	for i := range 3 * shardCount {
		if err := e.Sessions().End(t.Context(), fmt.Sprint("ended ", i), now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		for j := range 20 {
			e.Sessions().Note(fmt.Sprint(i, " ", j), now, now.Add(time.Hour))
		}
	}
	if n := size(e); n > 4*shardCount {
		t.Errorf("%d sessions are remembered", n)
	}
	closed(t, e)

	e = opened(t, path, Options{Sessions: 4 * shardCount})
	if n := size(e); n > 4*shardCount {
		t.Errorf("%d sessions were in the file", n)
	}
	closed(t, e)
}

// That a session ended is worth more than when others were used.
func TestEndsAreGivenUpLast(t *testing.T) {
	t.Parallel()
	e := opened(t, inFolder(t), Options{Sessions: 4 * shardCount})
	defer closed(t, e)
	now := time.Now()
	if err := e.Sessions().End(t.Context(), "ended", now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for i := range 100 * shardCount {
		e.Sessions().Note(fmt.Sprint(i), now, now.Add(time.Hour))
	}
	if got, _ := e.Sessions().Recall("ended"); !got.Ended {
		t.Error("the end of a session was forgotten for uses of others")
	}
}

func TestWhatExpiredLeavesTheFile(t *testing.T) {
	t.Parallel()
	path := inFolder(t)
	e := opened(t, path, Options{})
	now := time.Now()
	e.Sessions().Note("short", now, now.Add(time.Minute))
	e.Sessions().Note("long", now, now.Add(time.Hour))
	e.Sessions().forget(now.Add(30 * time.Minute))
	closed(t, e)

	e = opened(t, path, Options{})
	defer closed(t, e)
	if n := size(e); n != 1 {
		t.Errorf("%d sessions are in the file, want 1", n)
	}
}

func size(e *Engine) int {
	n := 0
	for i := range e.sessions.shards {
		n += len(e.sessions.shards[i].records)
	}
	return n
}

func TestOneProcessUsesAFile(t *testing.T) {
	t.Parallel()
	path := inFolder(t)
	e := opened(t, path, Options{})
	defer closed(t, e)
	if second, err := Open(path, Options{LockWait: time.Millisecond}); err == nil {
		closed(t, second)
		t.Error("a second engine opened the file")
	}
}

func TestAClosedEngineSaysSo(t *testing.T) {
	t.Parallel()
	e := opened(t, inFolder(t), Options{})
	closed(t, e)
	if err := e.Sessions().End(t.Context(), "a", time.Now().Add(time.Hour)); !errors.Is(err, state.ErrClosed) {
		t.Errorf("end: %v", err)
	}
	e.Sessions().Note("a", time.Now(), time.Now().Add(time.Hour))
}

// A disk that takes no more loses nothing: who waits is told, and it is written when
// it can be.
func TestWritesThatFailAreKept(t *testing.T) {
	t.Parallel()
	e := opened(t, inFolder(t), Options{})
	e.jobs.close()
	close(e.stop)
	<-e.stopped
	if err := e.db.Close(); err != nil {
		t.Fatal(err)
	}
	e.writes.put(sessionBucket, "a", []byte("old"))
	done := make(chan error, 1)
	e.writes.waiting = append(e.writes.waiting, done)
	if err := e.writes.commit(); !errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		t.Errorf("commit: %v", err)
	}
	if err := <-done; !errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		t.Errorf("who waited was told %v", err)
	}
	e.writes.put(sessionBucket, "a", []byte("new"))
	e.writes.keep(map[place][]byte{{sessionBucket, "a"}: []byte("old"), {sessionBucket, "b"}: nil}, nil)
	if got := string(e.writes.pending[place{sessionBucket, "a"}]); got != "new" {
		t.Errorf("pending = %q", got)
	}
	if _, ok := e.writes.pending[place{sessionBucket, "b"}]; !ok {
		t.Error("a removal was lost")
	}
}

// A damaged file is refused or read as it was written; it never ends the process,
// and never says anything else.
func TestDamageIsFoundWhenTheFileIsOpened(t *testing.T) {
	t.Parallel()
	path := inFolder(t)
	e := opened(t, path, Options{})
	now := time.Now().Truncate(time.Millisecond)
	for i := range 400 {
		key := fmt.Sprintf("session %d", i)
		e.Sessions().Note(key, now, now.Add(time.Hour))
		if i%20 != 0 {
			continue
		}
		if err := e.Sessions().Subscribe(t.Context(), key, state.ResourceSubscription{URI: key, Upstream: "up"}, now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, e)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	step := len(whole)/150 | 1
	if testing.Short() {
		step = len(whole)/20 | 1
	}
	refused := 0
	for at := 0; at < len(whole); at += step {
		for name, text := range map[string][]byte{"cut": whole[:at], "flipped": flipped(whole, at)} {
			if len(text) == 0 {
				continue
			}
			// The first two pages are the heads of the last two transactions. Where the newer
			// is damaged the older holds, as it does when the power fails in mid-write.
			last := at >= 2*os.Getpagesize()
			if !soundOrRefused(t, fmt.Sprintf("%s at %d of %d", name, at, len(whole)), text, now, last) {
				refused++
			}
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

func soundOrRefused(t *testing.T, name string, text []byte, used time.Time, last bool) (sound bool) {
	t.Helper()
	path := inFolder(t)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := Open(path, Options{LockWait: time.Second})
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: refused as %v", name, err)
		}
		return false
	}
	defer closed(t, e)
	for i := range 400 {
		key := fmt.Sprintf("session %d", i)
		got, _ := e.Sessions().Recall(key)
		if last && (!got.Used.Equal(used) || i%20 == 0 && (len(got.Subscriptions) != 1 || got.Subscriptions[0].URI != key)) || got.Ended {
			t.Errorf("%s: %s is %+v", name, key, got)
			return true
		}
	}
	return true
}

func flipped(whole []byte, at int) []byte {
	out := append([]byte(nil), whole...)
	out[at] ^= 0x41
	return out
}
