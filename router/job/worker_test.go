package job_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/router/job"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state"
)

// fresh are jobs on the same engine, as another process has them.
func (p *plant) fresh() *job.Jobs { return job.New(p.t.Context(), p.deps, p.cfg) }

// refusedAgain returns the id of the job of key k.
func (p *plant) refusedAgain(who rpc.Principal) string {
	p.t.Helper()
	return p.does(who, infer.InvokeAsync, `{"model":"m","prompt":"p","idempotency_key":"k"}`)["job_id"].(string)
}

// broken is an engine that can do nothing at the moment.
type broken struct{ state.Jobs }

var errBroken = errors.Join(state.ErrUnavailable, errors.New("no space left"))

func (*broken) Enqueue(context.Context, state.JobSpec) (string, bool, error) {
	return "", false, errBroken
}

func (*broken) Get(context.Context, string, string) (state.Job, error) { return state.Job{}, errBroken }

func (*broken) Cancel(context.Context, string, string) (state.JobState, error) {
	return 0, errBroken
}

// flaky is an engine that cannot do some things so often.
type flaky struct {
	state.Jobs
	claims, completes, heartbeats atomic.Int64
}

func (f *flaky) Claim(ctx context.Context, classes []string, visibility time.Duration) (state.Claim, error) {
	if f.claims.Add(-1) >= 0 {
		return state.Claim{}, errBroken
	}
	return f.Jobs.Claim(ctx, classes, visibility)
}

func (f *flaky) Complete(ctx context.Context, id string, fence uint64, result []byte) error {
	if f.completes.Add(-1) >= 0 {
		return errBroken
	}
	return f.Jobs.Complete(ctx, id, fence, result)
}

func (f *flaky) Heartbeat(ctx context.Context, id string, fence uint64, visibility time.Duration) error {
	if f.heartbeats.Add(-1) >= 0 {
		return errBroken
	}
	return f.Jobs.Heartbeat(ctx, id, fence, visibility)
}

// The result of a job is kept until it can be written, and the job all the while.
func TestAnEngineThatComesBackGetsTheResult(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, answers, func(t *testing.T, p *plant) {
		f := &flaky{Jobs: p.deps.Store}
		f.claims.Store(3)
		f.completes.Store(100)
		p.deps.Store = f
		p.Jobs = p.fresh()
		p.start()
		id := p.submit("")
		p.ends(id, "succeeded", 1)
	})
}

func TestALongJobStaysItsWorkers(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, nil, func(t *testing.T, p *plant) {
		h := newHangs()
		p.run = h.handle
		p.start()
		id := p.submit("")
		<-h.begun
		time.Sleep(20 * time.Minute)
		if out := p.status(id, 0); out["state"] != "running" || out["attempt"] != 1.0 || len(h.begun) > 0 {
			t.Errorf("%v", out)
		}
	})
}

// A worker that is not heard of loses its job to another one. What it says in the end is discarded.
func TestALostWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, nil, func(t *testing.T, p *plant) {
		var late atomic.Int64
		begun, told := make(chan struct{}), make(chan struct{})
		p.run = func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			if late.Add(1) == 1 {
				close(begun)
				<-told
				return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"output":"late"}`))), nil
			}
			return answers(ctx, c)
		}
		f := &flaky{Jobs: p.deps.Store}
		f.heartbeats.Store(1 << 40)
		lost := p.deps
		lost.Store = f
		first := job.New(t.Context(), lost, p.cfg)
		if err := first.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		id := p.submit("")
		<-begun
		p.start()
		if out := p.ends(id, "succeeded", 2); out["result"].(map[string]any)["output"] != "hello" {
			t.Errorf("%v", out)
		}
		close(told)
		first.Drain(t.Context())
		if out := p.ends(id, "succeeded", 2); out["result"].(map[string]any)["output"] != "hello" {
			t.Errorf("%v", out)
		}
	})
}

// What has time to end does; what has not is given back, and begun by whoever comes next, as if it had not been.
func TestDrain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		takes    time.Duration
		attempts int
		first    string // after the drain
		then     string // by the next process
		attempt  int
	}{
		"ends in time":                     {5 * time.Second, 3, "succeeded", "succeeded", 1},
		"does not":                         {time.Minute, 3, "queued", "succeeded", 1},
		"does not and may begin but once":  {time.Minute, 1, "failed", "failed", 1},
		"ends in time and begins but once": {5 * time.Second, 1, "succeeded", "succeeded", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := usual
			cfg.Attempts = tt.attempts
			inPlant(t, cfg, func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
				c.Record.Try(rpc.Hop{Upstream: "m"})
				select {
				case <-time.After(tt.takes):
					return answers(ctx, c)
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				}
			}, func(t *testing.T, p *plant) {
				p.start()
				id := p.submit("")
				waits := make(chan map[string]any)
				go func() { waits <- p.status(id, 30) }()
				synctest.Wait()
				began := time.Now()
				patience, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				go func() {
					if out := <-waits; out["state"] != "running" || time.Since(began) > 0 {
						t.Errorf("who waits is told %v after %v", out, time.Since(began))
					}
				}()
				p.Drain(patience)
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
				if out := p.status(id, 0); out["state"] != tt.first {
					t.Errorf("%v, want %s", out, tt.first)
				}
				queued := p.submit("") // it is taken, and not begun
				synctest.Wait()
				if out := p.status(queued, 0); out["state"] != "queued" {
					t.Errorf("%v", out)
				}
				p.close()
				p.open()
				p.start()
				p.ends(id, tt.then, tt.attempt)
				p.ends(queued, "succeeded", 1)
			})
		})
	}
}

func TestAsManyWorkAsAreConfigured(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, nil, func(t *testing.T, p *plant) {
		h := newHangs()
		p.run = h.handle
		p.start()
		for range 10 {
			p.submit("")
		}
		runs := func(want int) {
			t.Helper()
			synctest.Wait()
			if p.Running() != want {
				t.Errorf("%d run, want %d", p.Running(), want)
			}
		}
		runs(2)
		cfg := p.cfg
		cfg.Workers = 5
		p.Configure(cfg)
		runs(5)
		cfg.Workers = 1
		p.Configure(cfg)
		runs(5)
		for range 4 {
			c := <-h.begun
			c.Stopper.Stop(rpc.Errorf(rpc.Stopped, "enough"))
		}
		synctest.Wait()
		if n := p.Running(); n > 2 { // the one that stays may have been among them
			t.Errorf("%d run", n)
		}
	})
}

func TestOperatorsSeeAllJobs(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, answers, func(t *testing.T, p *plant) {
		var ids []string
		for range 5 {
			ids = append(ids, p.submit(""))
			time.Sleep(time.Millisecond)
		}
		p.does(rpc.Principal{Org: "other", User: "eve"}, infer.InvokeAsync, `{"model":"n","prompt":"p"}`)
		all, err := p.List(t.Context(), state.JobFilter{})
		if err != nil || len(all) != 6 {
			t.Fatalf("%+v, %v", all, err)
		}
		for i, id := range ids {
			if all[i].ID != id {
				t.Errorf("number %d is not the one that was submitted then", i)
			}
		}
		if v := all[5]; v.Model != "n" || v.Principal.Org != "other" || v.Principal.User != "eve" || v.State != state.JobQueued || v.Attempts != 3 {
			t.Errorf("%+v", v)
		}
		of, err := p.List(t.Context(), state.JobFilter{Tenant: job.OrgTenant("acme"), Limit: 2, After: ids[1]})
		if err != nil || len(of) != 2 || of[0].ID != ids[2] {
			t.Errorf("%+v, %v", of, err)
		}
	})
}
