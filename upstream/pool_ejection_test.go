package upstream

import (
	"testing"
	"testing/synctest"
	"time"
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
