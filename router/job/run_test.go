package job_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/router/job"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state"
)

// fails is a model that fails in some way so often, and then answers.
func fails(times int64, how func(c *rpc.Call) (*rpc.Reply, error)) rpc.HandlerFunc {
	var n atomic.Int64
	return func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if n.Add(1) <= times {
			return how(c)
		}
		return answers(ctx, c)
	}
}

// at is an error of a backend that was asked.
func at(code rpc.Code) func(c *rpc.Call) (*rpc.Reply, error) {
	return func(c *rpc.Call) (*rpc.Reply, error) {
		c.Record.Try(rpc.Hop{Upstream: "m"}).End(nil)
		return nil, rpc.Errorf(code, "no")
	}
}

// refusal is an error of a policy.
func refusal(code rpc.Code, after time.Duration) func(c *rpc.Call) (*rpc.Reply, error) {
	return func(*rpc.Call) (*rpc.Reply, error) {
		return nil, &rpc.Error{Code: code, Message: "no", RetryAfter: after}
	}
}

func reason(out map[string]any) string {
	return out["error"].(map[string]any)["data"].(map[string]any)["reason"].(string)
}

func TestWhatFollowsFromFailures(t *testing.T) {
	t.Parallel()
	large := func(c *rpc.Call) (*rpc.Reply, error) {
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"output":"`+strings.Repeat("x", 1<<20)+`"}`))), nil
	}
	wire := func(code int64) func(c *rpc.Call) (*rpc.Reply, error) {
		return func(c *rpc.Call) (*rpc.Reply, error) {
			return rpc.Respond(rpc.NewError(c.Message.ID, &rpc.WireError{Code: code, Message: "no", Data: []byte(`{"reason":"its own"}`)})), nil
		}
	}
	notRun := func(c *rpc.Call) (*rpc.Reply, error) {
		c.Record.Try(rpc.Hop{Upstream: "m"}).End(nil)
		return nil, &rpc.Error{Code: rpc.UpstreamDown, Message: "no", NotRun: true}
	}
	nothing := func(*rpc.Call) (*rpc.Reply, error) { return rpc.Respond(nil), nil }
	panics := func(*rpc.Call) (*rpc.Reply, error) { panic("in the model") }
	for name, tt := range map[string]struct {
		how     func(c *rpc.Call) (*rpc.Reply, error)
		times   int64
		state   string
		attempt int
		reason  string
		least   time.Duration // that it takes
		most    time.Duration
	}{
		"a connection that fails, twice":      {at(rpc.UpstreamDown), 2, "succeeded", 3, "", 2500 * time.Millisecond, 5 * time.Second},
		"a connection that fails each time":   {at(rpc.UpstreamDown), 3, "dead", 3, "upstream_unavailable", 2500 * time.Millisecond, 5 * time.Second},
		"a server that is away for a while":   {notRun, 20, "succeeded", 1, "", 2 * time.Minute, 20 * time.Minute},
		"an answer that is none":              {nothing, 1, "succeeded", 2, "", 0, time.Second},
		"a time-out":                          {at(rpc.UpstreamTimeout), 3, "dead", 3, "deadline_exceeded", 0, 5 * time.Second},
		"a backend that is full, three times": {at(rpc.Overloaded), 3, "dead", 3, "overloaded", 0, 5 * time.Second},
		"an error that a server sent":         {wire(-32602), 1, "failed", 1, "its own", 0, 0},
		"one that may pass":                   {wire(-32006), 1, "succeeded", 2, "", 0, time.Second},
		"params that are wrong":               {at(rpc.InvalidParams), 1, "failed", 1, "invalid_params", 0, 0},
		"no leave":                            {refusal(rpc.Forbidden, 0), 1, "failed", 1, "forbidden", 0, 0},
		"a panic":                             {panics, 1, "failed", 1, "internal", 0, 0},
		"an operator":                         {at(rpc.Stopped), 1, "failed", 1, "cancelled", 0, 0},
		"an answer that is too large":         {large, 1, "failed", 1, "upstream_error", 0, 0},
		"a budget that is used up, at times":  {refusal(rpc.QuotaExhausted, time.Minute), 5, "succeeded", 1, "", 5 * time.Minute, 10 * time.Minute},
		"one that is for too long":            {refusal(rpc.QuotaExhausted, 48*time.Hour), 100, "failed", 1, "quota_exhausted", 22 * time.Hour, 24 * time.Hour},
		"a gateway that is full, at times":    {refusal(rpc.Overloaded, 0), 4, "succeeded", 1, "", 20 * time.Second, 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inPlant(t, usual, fails(tt.times, tt.how), func(t *testing.T, p *plant) {
				id := p.submit("")
				p.start()
				began := time.Now()
				out := p.ends(id, tt.state, tt.attempt)
				if took := time.Since(began); took < tt.least || took > tt.most {
					t.Errorf("it took %v", took)
				}
				if tt.reason == "" {
					if out["error"] != nil || out["result"] == nil {
						t.Errorf("%v", out)
					}
					return
				}
				if out["result"] != nil || reason(out) != tt.reason {
					t.Errorf("%v, want %s", out, tt.reason)
				}
				if v := p.operators(id); v.Err == nil || job.StateName(v.State) != tt.state {
					t.Errorf("operators see %+v", v)
				}
			})
		})
	}
}

func TestADeadJobIsSentAgain(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, fails(3, at(rpc.UpstreamDown)), func(t *testing.T, p *plant) {
		id := p.submit("")
		p.start()
		p.ends(id, "dead", 3)
		time.Sleep(48 * time.Hour) // longer than max_age and result_ttl
		if err := p.Redrive(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		p.ends(id, "succeeded", 1)
		synctest.Wait()
		if dead, done := p.Ended(state.JobDead), p.Ended(state.JobSucceeded); dead != 1 || done != 1 {
			t.Errorf("%d dead and %d done are counted", dead, done)
		}
		if err := p.Redrive(t.Context(), id); !errors.Is(err, job.ErrNotDead) {
			t.Errorf("sent again: %v", err)
		}
		if err := p.Redrive(t.Context(), "job_x"); !errors.Is(err, job.ErrUnknown) {
			t.Errorf("sent again: %v", err)
		}
	})
}

func TestAJobThatIsCancelledStopsAtOnce(t *testing.T) {
	t.Parallel()
	cfg := usual
	cfg.Workers = 1
	inPlant(t, cfg, nil, func(t *testing.T, p *plant) {
		h := newHangs()
		p.run = h.handle
		p.start()
		for name, cancel := range map[string]func(id string) any{
			"by its owner": func(id string) any {
				return p.does(ann, infer.Cancel, `{"job_id":"`+id+`"}`)["cancelled"]
			},
			"by an operator": func(id string) any {
				stands, err := p.CancelAny(t.Context(), id)
				return stands == state.JobCancelled && err == nil
			},
		} {
			running, queued := p.submit(""), p.submit("")
			<-h.begun
			p.refused(bob, infer.Cancel, `{"job_id":"`+running+`"}`, rpc.JobUnknown)
			told := make(chan map[string]any)
			go func() { told <- p.status(running, 30) }()
			synctest.Wait()
			began := time.Now()
			for _, id := range []string{queued, running} {
				if cancel(id) != true {
					t.Errorf("%s: it was not cancelled", name)
				}
			}
			if e := <-h.ended; rpc.AsError(e).Code != rpc.Cancelled {
				t.Errorf("%s: the model was left: %v", name, e)
			}
			if out := <-told; out["state"] != "cancelled" || out["result"] != nil || out["finished_at"] == nil {
				t.Errorf("%s: %v", name, out)
			}
			if cancel(queued) != true {
				t.Errorf("%s: what was cancelled no longer is", name)
			}
			synctest.Wait()
			if took := time.Since(began); took > 0 || len(h.begun) > 0 || p.Running() > 0 {
				t.Errorf("%s: after %v %d begun, %d running", name, took, len(h.begun), p.Running())
			}
		}
		if _, err := p.CancelAny(t.Context(), "job_x"); !errors.Is(err, job.ErrUnknown) {
			t.Error(err)
		}
	})
}

// A model that takes no notice of being told has nobody listen to what it says.
func TestTheLateResultOfACancelledJobIsDiscarded(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, nil, func(t *testing.T, p *plant) {
		begun, told := make(chan *rpc.Call), make(chan struct{})
		p.run = func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			begun <- c
			<-told
			return answers(context.WithoutCancel(ctx), c)
		}
		p.start()
		id := p.submit("")
		c := <-begun
		p.does(ann, infer.Cancel, `{"job_id":"`+id+`"}`)
		close(told)
		synctest.Wait()
		if out := p.ends(id, "cancelled", 1); out["result"] != nil {
			t.Errorf("%v", out)
		}
		if c.Record.Usage().Output != 5 {
			t.Error("what it used is lost")
		}
		done := p.submit("")
		<-begun
		p.ends(done, "succeeded", 1)
		if out := p.does(ann, infer.Cancel, `{"job_id":"`+done+`"}`); out["cancelled"] != false || out["state"] != "succeeded" {
			t.Errorf("%v", out)
		}
	})
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, nil, func(t *testing.T, p *plant) {
		h := newHangs()
		p.run = h.handle
		p.start()
		began := time.Now()
		id := p.submit(`,"deadline":90.5`)
		<-h.begun
		if out := p.ends(id, "failed", 1); reason(out) != "deadline_exceeded" || time.Since(began) != 90500*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(began), out)
		}
		began = time.Now()
		id = p.submit(`,"deadline":864000`) // more than there is
		if out := p.ends(id, "failed", 1); reason(out) != "deadline_exceeded" || time.Since(began) != 24*time.Hour {
			t.Errorf("after %v: %v", time.Since(began), out)
		}
	})
}

// What has waited for too long is not run any more.
func TestWhatComesTooLateIsNotRun(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, nil, func(t *testing.T, p *plant) {
		h := newHangs()
		p.run = h.handle
		late := p.submit(`,"deadline":60`)
		who := ann
		who.Expires = time.Now().Add(time.Minute)
		p.does(who, infer.InvokeAsync, `{"model":"m","prompt":"p","idempotency_key":"k"}`)
		time.Sleep(time.Minute)
		p.start()
		if out := p.ends(late, "failed", 1); reason(out) != "deadline_exceeded" {
			t.Errorf("%v", out)
		}
		id := p.refusedAgain(who)
		if out := p.ends(id, "failed", 1); reason(out) != "unauthenticated" {
			t.Errorf("%v", out)
		}
		if len(h.begun) > 0 {
			t.Error("a model was asked")
		}
	})
}

func TestAnOperatorStopsARunInTheLiveView(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, nil, func(t *testing.T, p *plant) {
		h := newHangs()
		p.run = h.handle
		p.start()
		id := p.submit("")
		c := <-h.begun
		c.Stopper.Stop(rpc.Errorf(rpc.Stopped, "cancelled by an operator"))
		if out := p.ends(id, "failed", 1); reason(out) != "cancelled" {
			t.Errorf("%v", out)
		}
	})
}

// panics is a reply that panics when it is pulled, and closes a channel when it is closed.
type panics struct{ closed chan struct{} }

func (panics) Next() (*rpc.Message, error) { panic("in the answer") }
func (panics) Answer(*rpc.Message) error   { return rpc.ErrNoQuestion }
func (p panics) Close() error              { close(p.closed); return nil }

// What a call holds of its model and its budgets is given back when its reply is closed.
func TestAReplyThatPanicsIsClosed(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	inPlant(t, usual, func(context.Context, *rpc.Call) (*rpc.Reply, error) { return rpc.NewReply(panics{closed}), nil }, func(t *testing.T, p *plant) {
		p.start()
		p.ends(p.submit(""), "failed", 1)
	})
	select {
	case <-closed:
	default:
		t.Error("it is still open")
	}
}

// A job that could not be begun waits as one that nobody has looked at.
func TestWhatCouldNotBeginHasNotStarted(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, fails(1, refusal(rpc.Overloaded, time.Minute)), func(t *testing.T, p *plant) {
		id := p.submit("")
		p.start()
		time.Sleep(time.Second)
		if out := p.status(id, 0); out["state"] != "queued" || out["attempt"] != 0.0 || out["started_at"] != nil {
			t.Errorf("%v", out)
		}
		p.ends(id, "succeeded", 1)
	})
}
