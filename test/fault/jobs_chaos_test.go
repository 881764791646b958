package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/headgate/headgate/router/job"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state"
	"github.com/headgate/headgate/state/embedded"
)

// F21: workers die at each transition of a job's state, before it or after it, or are not heard of and come too late, while clients submit, ask and cancel and operators
// send dead jobs again. What all of them were told must have an order in which it is true.
func TestF21_WorkersDieAtEachTransition(t *testing.T) {
	interleavings := times(100, 10_000)
	row := Row{
		ID:    "F21",
		What:  "Workers that die at each transition of a job's state: what everybody is told has an order, each job has one end, none is begun too often, cancelled or completed and never both",
		Count: fmt.Sprintf("%d interleavings, each checked against the model", interleavings),
	}
	enter(t, &row)
	const together = 20 // on one engine
	var sum chaosSum
	for first := 0; first < interleavings && !t.Failed(); first += together {
		path := filepath.Join(t.TempDir(), "state.db")
		synctest.Test(t, func(t *testing.T) {
			e, err := embedded.Open(path, embedded.Options{Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			for seed := first; seed < min(first+together, interleavings) && !t.Failed(); seed++ {
				sum.add(interleave(t, e, uint64(seed)))
			}
			if err := e.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	row.Figures = sum.String()
	for _, moment := range chaosMoments() {
		if sum.deaths[moment] == 0 {
			t.Errorf("no worker died %s", moment)
		}
	}
}

// chaosMoments are when workers die.
func chaosMoments() []string {
	var out []string
	for _, do := range []string{"claim", "heartbeat", "complete", "fail"} {
		out = append(out, "before "+do, "after "+do)
	}
	return out
}

// chaosSum is what happened.
type chaosSum struct {
	deaths     map[string]int
	ends       map[state.JobState]int
	operations int
}

func (s *chaosSum) add(c *chaos) {
	if s.deaths == nil {
		s.deaths, s.ends = map[string]int{}, map[state.JobState]int{}
	}
	for moment, n := range c.deaths {
		s.deaths[moment] += n
	}
	for stands, n := range c.ends {
		s.ends[stands] += n
	}
	s.operations += len(c.history)
}

func (s *chaosSum) String() string {
	var parts []string
	for _, moment := range chaosMoments() {
		parts = append(parts, fmt.Sprintf("%d %s", s.deaths[moment], moment))
	}
	var ends []string
	for _, stands := range []state.JobState{state.JobSucceeded, state.JobFailed, state.JobCancelled, state.JobDead} {
		ends = append(ends, fmt.Sprintf("%d %s", s.ends[stands], job.StateName(stands)))
	}
	return fmt.Sprintf("%d operations; deaths: %s; jobs: %s", s.operations, strings.Join(parts, ", "), strings.Join(ends, ", "))
}

// chaos is one interleaving.
type chaos struct {
	t      *testing.T
	engine *embedded.Engine
	seed   uint64
	began  time.Time
	front  *job.Jobs // of clients; it runs nothing

	ticks   atomic.Int64
	runs    atomic.Int64
	mu      sync.Mutex
	random  *rand.Rand
	history []porcupine.Operation
	deaths  map[string]int
	ends    map[state.JobState]int
	born    int
	work    sync.WaitGroup
	over    context.Context //nolint:containedctx // ends when all jobs have
}

// between is a random time, which no other is the same as.
func (c *chaos) between(least, most time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return least + time.Duration(c.random.Int64N(int64(most-least)))
}

func (c *chaos) of(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

func interleave(t *testing.T, e *embedded.Engine, seed uint64) *chaos {
	t.Helper()
	c := &chaos{
		t: t, engine: e, seed: seed, began: time.Now(), random: rand.New(rand.NewPCG(seed, 21)), deaths: map[string]int{}, ends: map[state.JobState]int{},
	}
	var end context.CancelFunc
	c.over, end = context.WithCancel(t.Context())
	c.front = c.jobs(&told{c, e.Jobs()})
	for range 2 {
		c.work.Go(c.process)
	}
	var clients sync.WaitGroup
	for i := range 1 + c.of(3) {
		clients.Go(func() { c.client(i) })
	}
	clients.Wait()
	end()
	c.work.Wait()
	if !porcupine.CheckOperations(jobOrder, c.history) {
		for _, op := range c.history {
			t.Logf("%4d-%4d %+v: %+v", op.Call, op.Return, op.Input, op.Output)
		}
		t.Errorf("seed %d: what was told has no order", seed)
	}
	return c
}

func (c *chaos) jobs(store state.Jobs) *job.Jobs {
	return job.New(c.t.Context(), job.Deps{
		Store: store, Bus: c.engine.Bus(), Clock: c.engine, Run: rpc.HandlerFunc(c.model), Log: slog.New(slog.DiscardHandler),
	}, job.Config{
		Workers: 1, Attempts: 1 + c.of(3), Visibility: chaosVisibility, Keep: 24 * time.Hour, MaxAge: 20 * time.Minute, PerTenant: 100, MaxParams: 1 << 16, MaxResult: 1 << 16,
	})
}

// process is one process after another, each of which dies after some operations, until all jobs have ended.
func (c *chaos) process() {
	for c.over.Err() == nil {
		c.mu.Lock()
		m := &mortalWorker{told: told{c, c.engine.Jobs()}, left: 1 + c.random.IntN(6), after: c.random.IntN(2) == 0, mute: c.random.IntN(4) == 0, dead: make(chan struct{})}
		if c.born++; c.born > 6 {
			m.left, m.mute = -1, false // at last somebody lives
		}
		c.mu.Unlock()
		j := c.jobs(m)
		if err := j.Start(c.t.Context()); err != nil {
			c.t.Error(err)
			return
		}
		select {
		case <-m.dead:
		case <-c.over.Done():
		}
		m.die("")
		gone, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
		cancel()
		j.Drain(gone)
		pauseFor(c.over, c.between(0, 20*time.Second))
	}
}

func pauseFor(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// model answers, each time with something else, or fails in some way.
func (c *chaos) model(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	asked := func() { call.Record.Try(rpc.Hop{Upstream: "m"}).End(nil) }
	switch c.of(8) {
	case 0:
		asked()
		return nil, rpc.Errorf(rpc.UpstreamFailed, "broke off")
	case 1:
		asked()
		return nil, rpc.Errorf(rpc.InvalidParams, "never")
	case 2:
		return nil, rpc.Errorf(rpc.Overloaded, "not now")
	case 3:
		asked()
		<-ctx.Done()
		return nil, context.Cause(ctx)
	case 4, 5:
		asked()
		pauseFor(ctx, c.between(time.Second, 50*time.Second))
		if ctx.Err() != nil && c.of(2) == 0 { // the others take no notice
			return nil, context.Cause(ctx)
		}
	}
	asked()
	return rpc.Respond(rpc.NewResult(call.Message.ID, fmt.Appendf(nil, `{"output":"%d"}`, c.runs.Add(1)))), nil
}

// client submits a job, does this and that about it, and waits for its end.
func (c *chaos) client(i int) {
	who := rpc.Principal{Org: "acme", User: fmt.Sprint(c.seed, "/", i)}
	pauseFor(c.t.Context(), c.between(0, time.Minute))
	id := c.submit(who)
	for range c.of(4) {
		pauseFor(c.t.Context(), c.between(0, 40*time.Second))
		switch c.of(5) {
		case 0:
			c.ask(who, infer.Cancel, `{"job_id":"`+id+`"}`)
		case 1:
			if again := c.submit(who); again != id {
				c.t.Errorf("seed %d: the key leads to %s and %s", c.seed, id, again)
			}
		default:
			c.ask(who, infer.Status, `{"job_id":"`+id+`","wait":5}`)
		}
	}
	redriven := false
	for {
		out := c.ask(who, infer.Status, `{"job_id":"`+id+`","wait":30}`)
		if out["finished_at"] == nil {
			continue
		}
		if out["state"] == "dead" && !redriven && c.of(2) == 0 {
			redriven = true
			if err := c.front.Redrive(c.t.Context(), id); err != nil {
				c.t.Errorf("seed %d: sent again: %v", c.seed, err)
			}
			continue
		}
		stands, _ := job.StateNamed(out["state"].(string))
		c.mu.Lock()
		c.ends[stands]++
		c.mu.Unlock()
		return
	}
}

func (c *chaos) submit(who rpc.Principal) string {
	return c.ask(who, infer.InvokeAsync, `{"model":"m","prompt":"p","idempotency_key":"k"}`)["job_id"].(string)
}

func (c *chaos) ask(who rpc.Principal, method, params string) map[string]any {
	m, err := rpc.Parse(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params), rpc.Limits{})
	if err != nil {
		c.t.Error(err)
		return nil
	}
	row, _ := infer.Lookup(method)
	reply, err := c.front.Handle(c.t.Context(), &rpc.Call{Message: m, Method: row, Dialect: rpc.Infer, Principal: who})
	if err == nil {
		m, err = reply.Next()
	}
	var out map[string]any
	if err == nil {
		err = json.Unmarshal(m.Result, &out)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.t.Errorf("seed %d: %s: %v", c.seed, method, err)
	}
	return out
}
