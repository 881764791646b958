package metrics

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
)

// invoke is a call of a model's.
func invoke(method, entry string) *rpc.Call {
	c := request(method, rpc.Target{Kind: rpc.Model, Exposed: "default", Canonical: entry, Upstream: entry, Own: entry})
	c.Dialect = rpc.Infer
	return c
}

// stream passes a call through an observed handler whose backend says some parts, each half a second after the other.
func stream(tb testing.TB, c *Calls, call *rpc.Call, parts int, used rpc.Usage, failure error) {
	tb.Helper()
	call.Received, call.Record = time.Now(), &rpc.Record{}
	answer := rpc.NewResult(rpc.NumberID(1), []byte(`{"finish_reason":"stop"}`))
	h := rpc.Observe(c)(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		call.Record.Waited("m", 3*time.Second)
		call.Record.Try(rpc.Hop{Upstream: call.Target.Upstream, Backend: "10.0.0.1:80", Transport: "openai"}).End(rpc.Errorf(rpc.UpstreamDown, "gone"))
		call.Record.Again("upstream_down")
		t := call.Record.Try(rpc.Hop{Upstream: call.Target.Upstream, Backend: "10.0.0.2:80", Transport: "openai"})
		var meter rpc.Meter
		t.Metered(&meter)
		for i := range parts {
			time.Sleep(500 * time.Millisecond)
			meter.Part(rpc.Usage{Input: used.Input, Output: int64(i + 1), Estimated: true})
			t.Saw(rpc.NewNotification("chunk", []byte(`{"text":"x"}`)))
		}
		meter.Uses(used)
		if failure != nil {
			t.End(failure)
			return nil, failure
		}
		time.Sleep(time.Second)
		t.Saw(answer)
		return rpc.Respond(answer), nil
	}))
	reply, err := h.Handle(tb.Context(), call)
	if err != nil {
		return
	}
	_, _ = reply.Next()
	_ = reply.Close()
}

func TestExpositionOfModels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewCalls(known)
		stream(t, c, invoke("invoke", "llama-70b"), 4, rpc.Usage{Input: 10, Output: 7, Cached: 4}, nil)
		stream(t, c, invoke("invoke", "llama-70b"), 0, rpc.Usage{Input: 10, Output: 5}, nil)
		stream(t, c, invoke("invoke", "small-*"), 2, rpc.Usage{Input: 1, Output: 2, Estimated: true}, rpc.Errorf(rpc.UpstreamDown, "broke off"))
		stream(t, c, invoke("invoke", "none"), 0, rpc.Usage{}, nil)
		play(t, c, invoke("invoke", ""), nil, rpc.Errorf(rpc.InvalidParams, "there is no model"))
		play(t, c, invoke("session/check", ""), nil, rpc.Errorf(rpc.Unauthenticated, "who are you"))
		c.ExpectModel("quiet", true)
		got := scrape(t, c.Samples)
		const golden = "testdata/models.golden"
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("differs from %s (UPDATE_GOLDEN=1 writes it):\n%s", golden, got)
		}
	})
}

// What a client calls a model that a glob serves is no label, nor is a method that nobody knows.
func TestNamesOfModelsAreNoLabels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewCalls(known)
		for i := range 100 {
			secret := fmt.Sprintf("sent-by-client-%d", i)
			call := invoke("invoke", "small-*")
			call.Target.Exposed, call.Target.Canonical, call.Target.Own = secret, secret, secret
			stream(t, c, call, 1, rpc.Usage{Input: 1, Output: 1}, nil)
			play(t, c, invoke(secret, ""), nil, rpc.Errorf(rpc.MethodNotFound, "no method"))
			unknown := invoke("invoke", "")
			unknown.Target.Exposed = secret
			play(t, c, unknown, nil, rpc.Errorf(rpc.InvalidParams, "no model"))
		}
		got := scrape(t, c.Samples)
		if strings.Contains(got, "sent-by-client") {
			t.Error("what a client has sent is in the exposition")
		}
		if n := len(series(got, "headgate_inference_operation_duration_seconds_count")); n != 3 {
			t.Errorf("%d series for calls, want 3", n)
		}
	})
}

// What records count is on the scale of the histogram that it is added to.
func TestScaleOfModels(t *testing.T) {
	t.Parallel()
	if got, want := rpc.GapLimits(), ofModels.limits; got != want {
		t.Errorf("records tell %v apart, metrics %v", got, want)
	}
}
