package upstream

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
)

func TestEjection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newPool(PoolConfig{}, 1, 1, 1, 1, 1)
		for i := range 4 {
			s[i].do = breaks
		}
		for range 200 {
			_ = call(p)
		}
		states := map[string]int{}
		for _, b := range p.Status() {
			states[b.State]++
		}
		if states[BackendEjected] != 2 {
			t.Fatalf("%v: want 2 of 5 ejected, of which half is the most", states)
		}
		time.Sleep(firstEjection + time.Millisecond)
		for _, b := range p.Status() {
			if b.State != BackendUp {
				t.Errorf("%s is still %s", b.Backend, b.State)
			}
		}
	})
}

func TestEjectionsGetLongerAndAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(PoolConfig{}, 1, 1)
		b := (*p.backends.Load())[0]
		fail := func() time.Duration {
			for range failuresInARow {
				p.failed(b)
			}
			return p.Status()[0].Back
		}
		for _, want := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300} {
			if got := fail(); got != want*time.Second {
				t.Fatalf("ejected for %v, want %v s", got, want)
			}
			time.Sleep(want*time.Second + time.Millisecond)
		}
		time.Sleep(time.Hour)
		if got := fail(); got != firstEjection {
			t.Errorf("an hour later for %v", got)
		}
	})
}

func TestABackendIsEjectedForItsErrorRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(PoolConfig{}, 1, 1)
		b := (*p.backends.Load())[0]
		for i := range 100 { // two of three fail, never five in a row
			if i%3 == 0 {
				b.record.succeeded()
			} else {
				p.failed(b)
			}
			if at := p.Status()[0].State; at == BackendEjected {
				if i < leastCalls-1 {
					t.Errorf("after %d calls", i+1)
				}
				return
			}
		}
		t.Error("not ejected")
	})
}

func TestHalfOfTheCallsMayFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(PoolConfig{}, 1, 1)
		b := (*p.backends.Load())[0]
		p.failed(b)
		b.record.succeeded()
		for range 100 {
			b.record.succeeded()
			p.failed(b)
		}
		if got := p.Status()[0].State; got != BackendUp {
			t.Errorf("it is %s", got)
		}
	})
}

// A backend whose streams begin and break off is one that fails, though each of them counted as one that went well.
func TestABackendWhoseAnswersBreakOffIsEjected(t *testing.T) {
	t.Parallel()
	p, _ := newPool(PoolConfig{}, 1, 1, 1)
	b := (*p.backends.Load())[0]
	stream := func(end func()) {
		reply, err := b.handle(t.Context(), aCall)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = reply.Next()
		_ = reply.Close()
		end()
	}
	for range failuresInARow - 1 {
		stream(b.Broke)
	}
	stream(b.Finished)
	for i := range failuresInARow {
		if state := p.Status()[0].State; state != BackendUp {
			t.Fatalf("after %d that broke off it is %s", i, state)
		}
		stream(b.Broke)
	}
	if state := p.Status()[0].State; state != BackendEjected {
		t.Errorf("it is %s", state)
	}
}

// Whoever chooses instead of the pool is shown those that can be had, best ones first.
func TestTheChoiceCanBeAnothers(t *testing.T) {
	t.Parallel()
	var shown []int
	p, s := newPool(PoolConfig{
		Breaker: BreakerConfig{Failures: 1, OpenFor: time.Hour},
		Pick: func(_ context.Context, _ *rpc.Call, able []*Backend) *Backend {
			shown = append(shown, len(able))
			return able[len(able)-1]
		},
	}, 1, 1, 1)
	s[2].do = vanished
	for range 3 {
		if err := call(p); err != nil {
			t.Fatal(err)
		}
	}
	if s[1].calls != 3 || s[2].calls != 1 || !slices.Equal(shown, []int{3, 2, 2, 2}) {
		t.Errorf("calls %d, %d and %d; shown were %v", s[0].calls, s[1].calls, s[2].calls, shown)
	}
}
