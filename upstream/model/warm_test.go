package model_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// loadsIn is a Warm that takes its time.
func loadsIn(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// The first call has all backends load the model, and goes to the one that has it first. Loading takes longer than a first token may, and is no failure.
func TestAColdBackendIsAskedForATokenFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(3, answersIn(time.Second, 1, 0))
		of[0].load, of[1].load, of[2].load = loadsIn(20*time.Second), loadsIn(15*time.Second), loadsIn(time.Hour)
		p := newPool(t, of, modelOf(of, 4, nil))
		defer p.Close() //nolint:errcheck // nothing could fail
		if s := p.Status(); !s.Available || s.Warming || s.Healthy != 3 || s.Total != 3 {
			t.Errorf("before the first call: %+v", s)
		}
		var all sync.WaitGroup
		began := time.Now()
		for range 3 {
			all.Go(func() {
				if _, err := finished(t.Context(), p, streamed(t, "x")); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took != 16*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		}
		time.Sleep(time.Second)
		if s := p.Status(); s.Available || !s.Warming || s.Healthy != 0 {
			t.Errorf("while it is loaded: %+v", s)
		}
		all.Wait()
		for i, want := range []int64{0, 3, 0} {
			if n := of[i].calls.Load(); n != want || of[i].warmed.Load() != 1 {
				t.Errorf("backend %d got %d calls, and was asked for a token %d times", i, n, of[i].warmed.Load())
			}
		}
		time.Sleep(5 * time.Minute)
		var states []string
		for _, b := range p.Backends() {
			states = append(states, b.State)
			if b.Failures != 0 || b.Row != 0 {
				t.Errorf("loading counts as a failure: %+v", b)
			}
		}
		if states[0] != "up" || states[1] != "up" || states[2] != "down" {
			t.Errorf("in the end they are %v", states)
		}
	})
}

// While nothing is ready, calls wait as long as calls wait, and are told when to come back.
func TestWhoWaitsForAModelToBeLoadedWaitsSoLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(2, answersIn(0, 1, 0))
		of[0].load, of[1].load = loadsIn(time.Minute), loadsIn(time.Hour)
		p := newPool(t, of, modelOf(of, 4, nil))
		defer p.Close() //nolint:errcheck // nothing could fail
		began := time.Now()
		_, err := finished(t.Context(), p, streamed(t, "x"))
		e := rpc.AsError(err)
		if e.Code != rpc.UpstreamDown || !e.NotRun || e.RetryAfter <= 0 || time.Since(began) != 30*time.Second {
			t.Errorf("after %v: %+v", time.Since(began), e)
		}
		time.Sleep(30 * time.Second)
		if _, err := finished(t.Context(), p, streamed(t, "x")); err != nil {
			t.Error(err)
		}
	})
}

// Backends that cannot load the model are not asked again by each call, and ever more rarely.
func TestWhatCannotBeLoadedIsTriedEverMoreRarely(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(1, answersIn(0, 1, 0))
		fails := true
		of[0].load = func(context.Context) error {
			if fails {
				return unreachable()
			}
			return nil
		}
		p := newPool(t, of, modelOf(of, 4, nil))
		defer p.Close() //nolint:errcheck // nothing could fail
		for range 1200 {
			_, err := finished(t.Context(), p, streamed(t, "x"))
			if e := rpc.AsError(err); e.Code != rpc.UpstreamDown || !e.NotRun || e.RetryAfter < time.Second || e.RetryAfter > 30*time.Second {
				t.Fatalf("%+v", e)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := of[0].warmed.Load(); n < 6 || n > 9 { // 1, 2, 4, 8, 16, 30, 30 s
			t.Errorf("it was tried %d times in two minutes", n)
		}
		if s := p.Status(); s.Available || s.Healthy != 0 {
			t.Errorf("%+v", s)
		}
		fails = false
		time.Sleep(30 * time.Second)
		if _, err := finished(t.Context(), p, streamed(t, "x")); err != nil {
			t.Error(err)
		}
	})
}

// A backend that gave no token in time, or was away, is asked for one before it gets calls again: one failure is counted, however long it takes.
func TestABackendThatWasAwayIsColdAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		plan plan
		warm func(context.Context) error
	}{
		"no token in time":      {plan{first: time.Hour, chunks: 1}, loadsIn(time.Minute)},
		"refuses connections":   {plan{refuse: unreachable()}, loadsIn(time.Minute)},
		"breaks off at once":    {plan{err: &rpc.Error{Code: rpc.UpstreamDown, Message: "broke off"}}, loadsIn(time.Minute)},
		"and can load it never": {plan{first: time.Hour, chunks: 1}, func(context.Context) error { return errors.New("no") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				of := newTroupe(2, answersIn(time.Second, 1, 0))
				p := newPool(t, of, modelOf(of, 0, func(m *config.Model) { m.PrefixAffinity = 0 }))
				defer p.Close() //nolint:errcheck // nothing could fail
				if _, err := finished(t.Context(), p, streamed(t, "x")); err != nil {
					t.Fatal(err)
				}
				of[0].plan, of[0].load = func(*rpc.Call) plan { return tt.plan }, tt.warm
				calls, warmed := of[0].calls.Load(), of[0].warmed.Load()
				for range 50 {
					_, _ = finished(t.Context(), p, streamed(t, "x"))
				}
				if n := of[0].calls.Load() - calls; n != 1 {
					t.Errorf("it got %d calls", n)
				}
				if n := of[0].warmed.Load() - warmed; n < 1 || n > 7 {
					t.Errorf("it was asked for a token %d times", n)
				}
				if b := p.Backends()[0]; b.Failures != 1 || b.Row != 1 {
					t.Errorf("%d failures are counted: %+v", b.Failures, b)
				}
			})
		})
	}
}

// With warm-ups switched off a call is sent at once, and the breaker does what it does for tools.
func TestWithoutWarmUps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(1, func(*rpc.Call) plan { return plan{refuse: &rpc.Error{Code: rpc.UpstreamDown, Message: "broke"}} })
		p := newPool(t, of, modelOf(of, 0, func(m *config.Model) { m.WarmUp.At, m.Retry.Attempts = "never", 1 }))
		defer p.Close() //nolint:errcheck // nothing could fail
		for range 20 {
			_, _ = finished(t.Context(), p, streamed(t, "x"))
		}
		if b := p.Backends()[0]; of[0].calls.Load() != 5 || of[0].warmed.Load() != 0 || b.State != "open" {
			t.Errorf("%d calls, %d tokens asked for, %s", of[0].calls.Load(), of[0].warmed.Load(), b.State)
		}
		_, err := finished(t.Context(), p, streamed(t, "x"))
		if e := rpc.AsError(err); e.Code != rpc.UpstreamDown || e.RetryAfter <= 0 || e.Message[:11] != `model "big"` {
			t.Errorf("%+v", e)
		}
	})
}

// Of a glob nobody knows the models: the first call of each has the time that loading may take, further ones the usual time.
func TestTheFirstCallOfAModelThatFitsAGlob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := 40 * time.Second
		of := newTroupe(1, func(*rpc.Call) plan { return plan{first: first, chunks: 1} })
		p := newPool(t, of, modelOf(of, 0, func(m *config.Model) { m.Name = "b*" }))
		defer p.Close() //nolint:errcheck // nothing could fail
		call := func(name string) error {
			c := streamed(t, "x")
			c.Target.Own = name
			_, err := finished(t.Context(), p, c)
			return err
		}
		if err := call("big"); err != nil {
			t.Fatal(err)
		}
		if err := call("big"); rpc.CodeOf(err) != rpc.UpstreamTimeout {
			t.Errorf("the second call: %v", err)
		}
		if err := call("bigger"); err != nil {
			t.Errorf("another model: %v", err)
		}
		if err := call("big"); err != nil { // which gave no token in time, so that it may have to be loaded
			t.Errorf("after a time-out: %v", err)
		}
		if of[0].warmed.Load() != 0 {
			t.Error("somebody asked for a token of a glob")
		}
	})
}

// A server that unloads what nobody uses is asked for a token after that time; and not at all before it, if it is kept warm.
func TestIdleModels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(1, answersIn(time.Second, 1, 0))
		p := newPool(t, of, modelOf(of, 0, func(m *config.Model) { m.Backends[0].Kind = "ollama" }))
		defer p.Close() //nolint:errcheck // nothing could fail
		for i, idle := range []time.Duration{0, 4 * time.Minute, 6 * time.Minute, time.Minute} {
			time.Sleep(idle)
			if _, err := finished(t.Context(), p, streamed(t, "x")); err != nil {
				t.Fatal(err)
			}
			if n := of[0].warmed.Load(); n != []int64{1, 1, 2, 2}[i] {
				t.Errorf("after %v it was asked for a token %d times", idle, n)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(1, answersIn(time.Second, 1, 0))
		p := newPool(t, of, modelOf(of, 0, func(m *config.Model) { m.WarmUp.At, m.WarmUp.Every = "start", time.Minute }))
		defer p.Close() //nolint:errcheck // nothing could fail
		p.Begin()
		synctest.Wait()
		if n := of[0].warmed.Load(); n != 1 {
			t.Errorf("at the start it was asked for a token %d times", n)
		}
		for range 10 { // used each 40 s: it stays warm by itself
			time.Sleep(40 * time.Second)
			if _, err := finished(t.Context(), p, streamed(t, "x")); err != nil {
				t.Fatal(err)
			}
		}
		if n := of[0].warmed.Load(); n != 1 {
			t.Errorf("while it was used it was asked for a token %d times", n-1)
		}
		time.Sleep(10*time.Minute + time.Second)
		if n := of[0].warmed.Load(); n != 11 {
			t.Errorf("in ten minutes it was asked for a token %d times", n-1)
		}
	})
}
