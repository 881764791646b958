package policy

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/telemetry"
)

// The line of a call of a model says which, how many tokens it took, and when the first part of the answer came.
func TestAccessLogOfModels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log, err := telemetry.NewLogger(&out, "info", "json")
		if err != nil {
			t.Fatal(err)
		}
		c := observedCall()
		c.Dialect, c.Method = rpc.Infer, &rpc.Method{Name: "invoke"}
		c.Target = rpc.Target{Kind: rpc.Model, Exposed: "default", Canonical: "small-1b", Own: "small-1b", Upstream: "small-*"}
		c.Received, c.Record = time.Now(), &rpc.Record{ID: "k2j5"}
		h := rpc.Observe(NewAccessLog(t.Context(), config.Logs{Access: "all", Sample: 100}, log))(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			attempt, meter := c.Record.Try(rpc.Hop{Upstream: "small-*"}), &rpc.Meter{}
			attempt.Metered(meter)
			time.Sleep(time.Second)
			meter.Part(rpc.Usage{Input: 9, Output: 1, Estimated: true})
			attempt.Saw(rpc.NewNotification("chunk", []byte(`{"text":"x"}`)))
			time.Sleep(time.Second)
			meter.Uses(rpc.Usage{Input: 9, Output: 4, Cached: 8, Estimated: true})
			answer := rpc.NewResult(rpc.NumberID(1), []byte(`{}`))
			attempt.Saw(answer)
			return rpc.Respond(answer), nil
		}))
		reply, err := h.Handle(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = reply.Next()
		_ = reply.Close()
		want := `"request_id":"k2j5","session_id":"0123456789ab","model":"small-1b","upstream":"small-*","attempts":1,"upstream_duration":2.000000,` +
			`"input_tokens":9,"output_tokens":4,"cached_tokens":8,"estimated":true,"ttft":1.000000}`
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s\nlacks %s", out.String(), want)
		}
	})
}
