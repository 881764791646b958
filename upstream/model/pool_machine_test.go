package model_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream/model"
)

// moods are what backends do for a while.
var moods = map[string]plan{
	"answers":     {first: 100 * time.Millisecond, chunks: 3, every: 100 * time.Millisecond},
	"is slow":     {first: 3 * time.Second, chunks: 3, every: 3 * time.Second},
	"hangs":       {first: 24 * time.Hour, chunks: 1},
	"falls mute":  {chunks: 3, every: 24 * time.Hour},
	"is gone":     {refuse: unreachable()},
	"is busy":     {refuse: &rpc.Error{Code: rpc.Overloaded, Message: "busy", NotRun: true, RetryAfter: time.Second, Cause: answered(429)}},
	"is broken":   {refuse: &rpc.Error{Code: rpc.UpstreamFailed, Message: "500", Cause: answered(500)}},
	"resets":      {first: 10 * time.Millisecond, err: &rpc.Error{Code: rpc.UpstreamDown, Message: "reset"}},
	"breaks off":  {chunks: 2, err: &rpc.Error{Code: rpc.UpstreamDown, Message: "reset"}},
	"contradicts": {refuse: &rpc.Error{Code: rpc.InvalidParams, Message: "no"}},
}

// world is a pool, its backends in changing moods, and clients who come and leave.
type world struct {
	t     *testing.T
	of    troupe
	slots int
	pool  *model.Pool
	all   sync.WaitGroup
	stop  []context.CancelFunc

	mu    sync.Mutex
	moods map[string]plan
	over  int
	begun int
}

func (w *world) plan(name string) func(*rpc.Call) plan {
	return func(*rpc.Call) plan {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.moods[name]
	}
}

// call makes a call, and checks what comes: the chunks of one backend alone, then one response, or an error that says something.
func (w *world) call(stream bool, prompt string) {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.stop = append(w.stop, cancel)
	w.begun++
	c := unary(w.t, prompt)
	if stream {
		c = streamed(w.t, prompt)
	}
	w.all.Go(func() {
		defer func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.over++
		}()
		reply, err := w.pool.Handle(ctx, c)
		if err == nil {
			err = w.read(reply)
		}
		if e, known := errors.AsType[*rpc.Error](err); err != nil && !errors.Is(err, context.Canceled) && (!known || e.Message == "" || e.Code == rpc.Internal) {
			w.t.Errorf("it failed with %v", err)
		}
	})
}

func (w *world) read(reply *rpc.Reply) error {
	defer reply.Close() //nolint:errcheck // nothing could fail
	from := ""
	for {
		m, err := reply.Next()
		switch {
		case err != nil:
			return err
		case m.IsResponse():
			return nil
		}
		text, _ := m.Text("text")
		if from != "" && text != from {
			w.t.Errorf("chunks of %s and of %s in one answer", from, text)
		}
		from = text
	}
}

// check compares what must hold at any time.
func (w *world) check(rt *rapid.T) {
	for _, b := range w.of {
		if n := b.flying.Load(); n > int64(w.slots) {
			rt.Fatalf("%s has %d calls, of %d", b.name, n, w.slots)
		}
	}
	w.mu.Lock()
	live := w.begun - w.over
	w.mu.Unlock()
	if s, q := w.pool.Status(), w.pool.Queue(); q.InFlight+q.Waiting != live || s.InFlight > q.InFlight {
		rt.Fatalf("%d calls: %d have a turn, %d wait, backends have %d", live, q.InFlight, q.Waiting, s.InFlight)
	}
}

// Whatever backends do, and whoever comes or leaves, no backend has more calls than it takes, each call ends, nothing is made again that a
// client has seen something of, and no slot is lost.
func TestWhateverBackendsDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		slots, n := rapid.IntRange(1, 3).Draw(rt, "slots"), rapid.IntRange(1, 4).Draw(rt, "backends")
		at := rapid.SampledFrom([]string{"never", "first-call", "start"}).Draw(rt, "warm-up")
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, of: newTroupe(n, nil), slots: slots, moods: map[string]plan{}}
			for _, b := range w.of {
				w.moods[b.name] = moods["answers"]
				b.plan = w.plan(b.name)
				b.load = loadsIn(time.Second)
			}
			w.pool = newPool(t, w.of, modelOf(w.of, slots, func(m *config.Model) { m.WarmUp.At, m.SlowStart = at, 5*time.Second }))
			defer w.pool.Close() //nolint:errcheck // nothing could fail
			w.pool.Begin()
			w.run(rt)
		})
	})
}

func (w *world) run(rt *rapid.T) {
	names := rapid.SampledFrom([]string{"answers", "is slow", "hangs", "falls mute", "is gone", "is busy", "is broken", "resets", "breaks off", "contradicts"})
	for range rapid.IntRange(1, 40).Draw(rt, "steps") {
		switch what := rapid.IntRange(0, 9).Draw(rt, "what"); {
		case what < 4:
			long := rapid.Bool().Draw(rt, "long")
			prompt := rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "prompt")
			if long {
				prompt += strings.Repeat(" and so on", 200)
			}
			w.call(rapid.Bool().Draw(rt, "stream"), prompt)
		case what < 6:
			b := rapid.SampledFrom(w.of).Draw(rt, "whose")
			w.mu.Lock()
			w.moods[b.name] = moods[names.Draw(rt, "mood")]
			w.mu.Unlock()
		case what == 6 && len(w.stop) > 0:
			rapid.SampledFrom(w.stop).Draw(rt, "leaves")()
		case what == 7:
			keep := rapid.IntRange(1, len(w.of)).Draw(rt, "stay")
			if leave, err := w.pool.SetBackends(w.of[:keep].backends(w.slots)); err != nil {
				rt.Fatal(err)
			} else if leave != nil {
				w.all.Go(func() { leave(w.t.Context()) })
			}
		default:
			time.Sleep(time.Duration(rapid.IntRange(1, 20_000).Draw(rt, "ms")) * time.Millisecond)
		}
		synctest.Wait()
		w.check(rt)
	}
	w.all.Wait() // no client stays for ever
	if s, q := w.pool.Status(), w.pool.Queue(); s.InFlight != 0 || q.InFlight != 0 || q.Waiting != 0 {
		rt.Fatalf("in the end: %+v, %+v", s, q)
	}
	for _, b := range w.of {
		if b.flying.Load() != 0 {
			rt.Fatalf("%s still has calls", b.name)
		}
	}
	for _, stop := range w.stop {
		stop()
	}
	// And all is well again as soon as the backends are.
	for _, b := range w.of {
		w.moods[b.name] = moods["answers"]
	}
	time.Sleep(10 * time.Minute)
	if _, err := finished(w.t.Context(), w.pool, streamed(w.t, "x")); err != nil {
		rt.Fatalf("afterwards: %v", err)
	}
}
