package mcpserver

import (
	"errors"
	"testing"
	"time"
)

func TestCorner5_30_RestartsAreHeldBackMoreAndMore(t *testing.T) {
	t.Parallel()
	var r restarts
	now := time.Now()
	why := errors.New("why")
	for i, want := range []time.Duration{
		0, 0, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
		1600 * time.Millisecond, 3200 * time.Millisecond, 6400 * time.Millisecond, 12800 * time.Millisecond,
		25600 * time.Millisecond, 30 * time.Second, 30 * time.Second,
	} {
		if got, _ := r.delay(now); got != want {
			t.Errorf("after %d failures: %v, want %v", i, got, want)
		}
		r.failed(now, why)
	}
	if got, cause := r.delay(now.Add(29 * time.Second)); got != time.Second || !errors.Is(cause, why) {
		t.Errorf("%v %v", got, cause)
	}
	if got, _ := r.delay(now.Add(time.Hour)); got != 0 {
		t.Error(got)
	}
	r.succeeded()
	r.failed(now, why)
	if got, _ := r.delay(now); got != 0 {
		t.Error("a process that was of use is started again at once")
	}
}

func TestRation(t *testing.T) {
	t.Parallel()
	var r ration
	now := time.Now()
	if skipped, ok := r.take(now); skipped != 0 || !ok {
		t.Error("the first is logged")
	}
	for range 5 {
		if _, ok := r.take(now); ok {
			t.Error("logged too soon")
		}
	}
	if skipped, ok := r.take(now.Add(rationEvery)); skipped != 5 || !ok {
		t.Error(skipped, ok)
	}
	if skipped, _ := r.take(now.Add(2 * rationEvery)); skipped != 0 {
		t.Error(skipped)
	}
}
