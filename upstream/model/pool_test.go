package model_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// No backend has more calls than it takes, and all of them have as many as that while calls wait.
func TestBackendsGetAsManyCallsAsTheyTake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(3, answersIn(time.Second, 3, time.Second))
		cfg := modelOf(of, 0, nil)
		cfg.Backends[0].MaxInFlight, cfg.Backends[1].MaxInFlight, cfg.Backends[2].MaxInFlight = 1, 2, 4
		p := newPool(t, of, cfg)
		defer p.Close() //nolint:errcheck // nothing could fail
		var all sync.WaitGroup
		for range 70 {
			all.Go(func() {
				if _, err := finished(t.Context(), p, streamed(t, "x")); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		if s := p.Status(); s.InFlight != 7 || s.Waiting != 63 {
			t.Errorf("at first: %+v", s)
		}
		began := time.Now()
		all.Wait()
		if took := time.Since(began); took != 29500*time.Millisecond { // ten rounds
			t.Errorf("it took %v", took)
		}
		for i, want := range []int64{1, 2, 4} {
			if most := of[i].most.Load(); most != want {
				t.Errorf("backend %d had %d calls at a time, of %d", i, most, want)
			}
		}
	})
}

// The slots of a backend that is out are not waited for: calls that it had are, and no others.
func TestTheSlotsOfABackendThatIsOutAreNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(2, answersIn(time.Second, 1, 0))
		of[0].plan = func(*rpc.Call) plan { return plan{refuse: &rpc.Error{Code: rpc.UpstreamFailed, Message: "500"}} }
		p := newPool(t, of, modelOf(of, 2, func(m *config.Model) { m.WarmUp.At, m.Retry.Attempts = "never", 1 }))
		defer p.Close() //nolint:errcheck // nothing could fail
		for p.Backends()[0].State == "up" {
			_, _ = finished(t.Context(), p, streamed(t, "x"))
		}
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() { _, _ = finished(t.Context(), p, streamed(t, "x")) })
		}
		time.Sleep(time.Millisecond)
		if q := p.Queue(); q.Limit != 2 || q.InFlight != 2 || q.Waiting != 4 {
			t.Errorf("limit %d, in flight %d, waiting %d", q.Limit, q.InFlight, q.Waiting)
		}
		all.Wait()
	})
}

// A call that no backend has seen goes to another one; one that is refused for want of room, too, at once; and it is not made again where it
// was refused before the time that the backend named.
func TestCallsAreMadeAgainElsewhere(t *testing.T) {
	t.Parallel()
	busy := func(after time.Duration) error {
		return &rpc.Error{Code: rpc.Overloaded, Message: "busy", NotRun: true, RetryAfter: after, Cause: answered(http.StatusTooManyRequests)}
	}
	tests := map[string]struct {
		first, second plan
		one           bool
		calls         [2]int64
		took          time.Duration
		code          string
	}{
		"refuses connections":     {first: plan{refuse: unreachable()}, second: plan{chunks: 1}, calls: [2]int64{1, 1}},
		"has no room":             {first: plan{refuse: busy(time.Hour)}, second: plan{chunks: 1}, calls: [2]int64{1, 1}},
		"breaks off before":       {first: plan{err: &rpc.Error{Code: rpc.UpstreamDown, Message: "reset"}}, second: plan{chunks: 1}, calls: [2]int64{1, 1}},
		"breaks off after":        {first: plan{chunks: 1, err: &rpc.Error{Code: rpc.UpstreamDown, Message: "reset"}}, second: plan{chunks: 1}, calls: [2]int64{1, 0}, code: "upstream_down"},
		"does not like the call":  {first: plan{refuse: &rpc.Error{Code: rpc.InvalidParams, Message: "no"}}, second: plan{chunks: 1}, calls: [2]int64{1, 0}, code: "invalid_params"},
		"gives no token in time":  {first: plan{first: time.Hour, chunks: 1}, second: plan{chunks: 1}, calls: [2]int64{1, 0}, code: "upstream_timeout", took: 10 * time.Second},
		"names a time":            {one: true, first: plan{refuse: busy(3 * time.Second)}, calls: [2]int64{3, 0}, code: "overloaded", took: 6 * time.Second},
		"names a time too far":    {one: true, first: plan{refuse: busy(time.Minute)}, calls: [2]int64{1, 0}, code: "overloaded"},
		"can not be reached ever": {one: true, first: plan{refuse: unreachable()}, calls: [2]int64{3, 0}, code: "upstream_down"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				of := newTroupe(2, nil)
				of[0].plan, of[1].plan = func(*rpc.Call) plan { return tt.first }, func(*rpc.Call) plan { return tt.second }
				if tt.one {
					of = of[:1]
				}
				cfg := modelOf(of, 0, func(m *config.Model) { m.WarmUp.At = "never" })
				if !tt.one {
					cfg.Balance, cfg.Backends[0].Weight, cfg.Backends[1].Weight = "weighted", 1000, 1 // the first one first
				}
				p := newPool(t, of, cfg)
				defer p.Close() //nolint:errcheck // nothing could fail
				began := time.Now()
				_, err := finished(t.Context(), p, streamed(t, "x"))
				code := ""
				if e, ok := errors.AsType[*rpc.Error](err); ok {
					code = e.Code.String()
				}
				took := time.Since(began).Truncate(time.Second)
				if code != tt.code || took != tt.took {
					t.Errorf("%v after %v, want %q after %v", err, took, tt.code, tt.took)
				}
				for i := range of {
					if n := of[i].calls.Load(); n != tt.calls[i] {
						t.Errorf("backend %d got %d calls, want %d", i, n, tt.calls[i])
					}
				}
			})
		})
	}
}

// answered is the HTTP status of an answer.
type answered int

func (answered) Error() string     { return "status" }
func (a answered) HTTPStatus() int { return int(a) }

// Not more than a tenth of the calls is made again.
func TestRetriesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(4, func(*rpc.Call) plan { return plan{err: &rpc.Error{Code: rpc.UpstreamDown, Message: "reset"}} })
		p := newPool(t, of, modelOf(of, 0, func(m *config.Model) { m.WarmUp.At, m.Breaker.Failures = "never", 0 }))
		defer p.Close() //nolint:errcheck // nothing could fail
		const calls = 1000
		for range calls {
			_, _ = finished(t.Context(), p, streamed(t, "x"))
		}
		made := int64(0)
		for _, b := range of {
			made += b.calls.Load()
		}
		if made > calls*11/10+10 || made < calls*11/10 {
			t.Errorf("%d calls were made %d times", calls, made)
		}
	})
}

// Backends come and go, and keep what they do: streams end where they began, those that stay keep what is known of them.
func TestBackendsComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(3, answersIn(time.Second, 5, time.Second))
		all := of.backends(4)
		p := newPool(t, of, modelOf(of[:2], 4, nil))
		defer p.Close() //nolint:errcheck // nothing could fail
		var calls sync.WaitGroup
		begin := func(n int) {
			for range n {
				calls.Go(func() {
					if messages, err := finished(t.Context(), p, streamed(t, "x")); err != nil || messages != 6 {
						t.Errorf("%d messages, then %v", messages, err)
					}
				})
			}
			time.Sleep(100 * time.Millisecond)
		}
		begin(8)
		all[1].MaxInFlight, all[1].Weight = 2, 7
		leave, err := p.SetBackends(all[1:])
		if err != nil || leave == nil {
			t.Fatalf("%v; somebody leaves: %v", err, leave != nil)
		}
		begin(4)
		for i, want := range []int64{4, 4, 4} {
			if n := of[i].flying.Load(); n != want {
				t.Errorf("backend %d has %d calls, want %d", i, n, want)
			}
		}
		if b := p.Backends(); len(b) != 2 || b[0].Weight != 7 || b[0].Backend != of[1].name || b[1].Backend != of[2].name {
			t.Errorf("%+v", b)
		}
		leave(t.Context())
		if of[0].closed.Load() != 1 || of[0].flying.Load() != 0 || of[1].closed.Load() != 0 || of[1].warmed.Load() != 1 {
			t.Errorf("closed %d with %d calls, %d; asked for a token %d times", of[0].closed.Load(), of[0].flying.Load(), of[1].closed.Load(), of[1].warmed.Load())
		}
		calls.Wait()
		before := of[0].calls.Load()
		begin(20)
		calls.Wait()
		if of[0].calls.Load() != before || of[1].most.Load() != 4 {
			t.Errorf("one that has left got %d calls", of[0].calls.Load()-before)
		}
		if leave, err := p.SetBackends(all[1:]); err != nil || leave != nil {
			t.Errorf("nothing changes: %v, %v", err, leave != nil)
		}
	})
}

// A client that waits for a turn, for a backend, or for a token can leave at any time.
func TestAClientCanLeaveWhereverItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(1, answersIn(time.Minute, 1, 0))
		of[0].load = loadsIn(time.Minute)
		p := newPool(t, of, modelOf(of, 1, func(m *config.Model) { m.Deadlines.FirstToken = time.Hour; m.Queue.MaxWait = time.Hour }))
		defer p.Close() //nolint:errcheck // nothing could fail
		gone := errors.New("gone")
		for _, after := range []time.Duration{time.Second, 90 * time.Second, time.Second} {
			ctx, cancel := context.WithCancelCause(t.Context())
			var others sync.WaitGroup
			for range 3 {
				others.Go(func() {
					if _, err := finished(ctx, p, streamed(t, "x")); !errors.Is(err, gone) {
						t.Errorf("after %v: %v", after, err)
					}
				})
			}
			time.Sleep(after)
			cancel(gone)
			began := time.Now()
			others.Wait()
			if took := time.Since(began); took > 0 {
				t.Errorf("after %v it took %v to leave", after, took)
			}
			if s := p.Status(); s.InFlight != 0 || s.Waiting != 0 || p.Queue().InFlight != 0 {
				t.Errorf("after %v: %+v, %d", after, s, p.Queue().InFlight)
			}
		}
	})
}
