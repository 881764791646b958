package job_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

func TestAJobIsRunAndItsResultKept(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, answers, func(t *testing.T, p *plant) {
		id := p.submit(`,"x_own":[1.0,"<&>"],"deadline":600`)
		if !regexp.MustCompile(`^job_[0-9a-v]{36}$`).MatchString(id) {
			t.Errorf("its id is %s", id)
		}
		if out := p.status(id, 0); out["state"] != "queued" || out["attempt"] != 0.0 || out["started_at"] != nil || out["created_at"] != "2000-01-01T00:00:00.000Z" {
			t.Errorf("submitted: %v", out)
		}
		p.start()
		began := time.Now()
		out := p.ends(id, "succeeded", 1)
		if took := time.Since(began); took > 0 {
			t.Errorf("who waits is told after %v", took)
		}
		if result := out["result"].(map[string]any); result["output"] != "hello" || out["error"] != nil {
			t.Errorf("result: %v", out)
		}
		if usage := out["usage"].(map[string]any); usage["input_tokens"] != 3.0 || usage["output_tokens"] != 5.0 {
			t.Errorf("usage: %v", out)
		}
		if v := p.operators(id); v.Model != "m" || v.Tenant != "org:acme" || v.Principal.Key != "ann" || v.Usage.Output != 5 || v.Err != nil {
			t.Errorf("operators see %+v", v)
		}
	})
}

// What runs is what was submitted, in the name of who did.
func TestTheRunIsACallOfWhoSubmitted(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, nil, func(t *testing.T, p *plant) {
		h := newHangs()
		p.run = h.handle
		who := ann
		who.Expires = time.Now().Add(time.Hour)
		p.does(who, infer.InvokeAsync, `{"deadline":5, "x" : {"b":1,"a":1.50} ,"idempotency_key":"k","model":"m","prompt":"p"}`)
		p.start()
		c := <-h.begun
		if got := string(c.Message.Params); got != `{ "x" : {"b":1,"a":1.50},"model":"m","prompt":"p","stream":true}` {
			t.Errorf("params: %s", got)
		}
		if c.Principal.Key != "ann" || c.Principal.Scopes[0] != "infer:*" || !c.Principal.Expires.Equal(who.Expires) ||
			c.Method.Name != infer.Invoke || c.Dialect != rpc.Infer || c.Endpoint != "/rpc" || c.Record.ID == "" || c.Received.IsZero() ||
			c.Remote.String() != "192.0.2.1:1" || c.Client.Session != "" {
			t.Errorf("call: %+v", c)
		}
	})
}

func TestAnIdempotencyKeyLeadsToOneJob(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, nil, func(t *testing.T, p *plant) {
		runs := make(chan string, 10)
		p.run = func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			runs <- c.Principal.Key
			return answers(ctx, c)
		}
		const first = `{"model":"m","prompt":"p","top_k":1,"idempotency_key":"k"}`
		id := p.does(ann, infer.InvokeAsync, first)["job_id"]
		same := func(params, state string) {
			t.Helper()
			if out := p.does(ann, infer.InvokeAsync, params); out["job_id"] != id || out["state"] != state {
				t.Errorf("%s: %v", params, out)
			}
		}
		same(first, "queued")
		same(`{"idempotency_key":"k", "top_k": 1, "prompt": "p", "model": "m"}`, "queued")
		for _, other := range []string{
			`{"model":"m","prompt":"q","top_k":1,"idempotency_key":"k"}`,
			`{"model":"m","prompt":"p","top_k":1.0,"idempotency_key":"k"}`,
			`{"model":"m","prompt":"p","top_k":1,"idempotency_key":"k","deadline":9}`,
			`{"model":"n","prompt":"p","top_k":1,"idempotency_key":"k"}`,
		} {
			p.refused(ann, infer.InvokeAsync, other, rpc.Conflict)
		}
		if out := p.does(bob, infer.InvokeAsync, first); out["job_id"] == id {
			t.Error("a key is everybody's")
		}
		p.start()
		p.ends(id.(string), "succeeded", 1)
		same(first, "succeeded")
		time.Sleep(2 * time.Hour)
		if e := p.refused(ann, infer.InvokeAsync, first, rpc.JobUnknown); !strings.Contains(e.Message, "idempotency_key") {
			t.Error(e)
		}
		p.refused(ann, infer.InvokeAsync, strings.Replace(first, `"p"`, `"q"`, 1), rpc.Conflict)
		synctest.Wait()
		if len(runs) != 2 {
			t.Errorf("%d were run", len(runs))
		}
	})
}

func TestWhatIsNotTaken(t *testing.T) {
	t.Parallel()
	cfg := usual
	cfg.MaxParams, cfg.PerTenant = 1000, 2
	inPlant(t, cfg, answers, func(t *testing.T, p *plant) {
		long := strings.Repeat("x", 1000)
		for params, want := range map[string]rpc.Code{
			`{"prompt":"p"}`: rpc.InvalidParams,
			`{"model":"m"}`:  rpc.InvalidParams,
			`{"model":"m","prompt":"p","stream":true}`:                 rpc.InvalidParams,
			`{"model":"m","prompt":"p","idempotency_key":5}`:           rpc.InvalidParams,
			`{"model":"m","prompt":"p","deadline":-5}`:                 rpc.InvalidParams,
			`{"model":"m","prompt":"` + long + `"}`:                    rpc.TooLarge,
			`{"model":"m","prompt":"p","deadline":"2026-01-01T00:00"}`: rpc.InvalidParams,
		} {
			p.refused(ann, infer.InvokeAsync, params, want)
		}
		p.submit("")
		p.does(bob, infer.InvokeAsync, `{"model":"m","prompt":"p"}`)
		if e := p.refused(ann, infer.InvokeAsync, `{"model":"m","prompt":"p"}`, rpc.TooManyInFlight); e.RetryAfter <= 0 {
			t.Error(e)
		}
		other := rpc.Principal{Org: "other"}
		p.does(other, infer.InvokeAsync, `{"model":"m","prompt":"p"}`)
	})
}

// Each is told the same, whichever way it is that there is no job for it.
func TestUnknownExpiredAndForeignJobsAreOne(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, answers, func(t *testing.T, p *plant) {
		expired := p.submit("")
		p.start()
		p.ends(expired, "succeeded", 1)
		time.Sleep(time.Hour)
		foreign := p.does(bob, infer.InvokeAsync, `{"model":"m","prompt":"p"}`)["job_id"].(string)
		began := time.Now()
		for _, method := range []string{infer.Status, infer.Cancel} {
			var first *rpc.Error
			for name, id := range map[string]string{
				"expired": expired, "foreign": foreign, "unknown": "job_" + strings.Repeat("0", 36), "wrong": "nothing", "traversal": "../" + foreign,
			} {
				params := `{"job_id":"` + id + `"}`
				if method == infer.Status {
					params = `{"wait":30,"job_id":"` + id + `"}`
				}
				e := p.refused(ann, method, params, rpc.JobUnknown)
				if first == nil {
					first = e
				}
				if e.Message != first.Message || e.Data != nil || e.RetryAfter != 0 {
					t.Errorf("%s, %s: %+v, others %+v", method, name, e, first)
				}
			}
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// What cannot be written is not acknowledged, and what cannot be read is not unknown.
func TestAnEngineThatIsGoneIsSaidToBe(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, answers, func(t *testing.T, p *plant) {
		id := p.submit("")
		gone := &broken{p.deps.Store}
		p.deps.Store = gone
		working := p.Jobs
		p.Jobs = p.fresh()
		for method, params := range map[string]string{
			infer.InvokeAsync: `{"model":"m","prompt":"p"}`, infer.Status: `{"job_id":"` + id + `"}`, infer.Cancel: `{"job_id":"` + id + `"}`,
		} {
			if e := p.refused(ann, method, params, rpc.StateUnavailable); e.RetryAfter <= 0 {
				t.Errorf("%s: %v", method, e)
			}
		}
		p.Jobs = working
	})
}
