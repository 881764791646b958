package telemetry_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/telemetry"
)

func invokeCall() *rpc.Call {
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(7), "invoke", []byte(`{"model":"default","prompt":"x","stream":true}`)), Method: &rpc.Method{Name: "invoke"},
		Dialect: rpc.Infer, Received: time.Now(), Record: &rpc.Record{ID: "r1"}, Endpoint: "/rpc",
		Target: rpc.Target{Kind: rpc.Model, Exposed: "default", Canonical: "llama-70b", Own: "llama-70b", Upstream: "llama-70b"},
	}
}

// told writes a span as one line each for what it is and for each of its attributes.
func told(s *tracepb.Span) (out []string) {
	for _, a := range s.GetAttributes() {
		out = append(out, strings.ReplaceAll(fmt.Sprint(a.GetKey(), "=", a.GetValue()), " ", "")) // its spaces are of no meaning
	}
	slices.Sort(out)
	return append([]string{strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_") + " " + s.GetName() + " " + s.GetStatus().GetMessage()}, out...)
}

func TestSpansOfAModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got spans
		answer := rpc.NewResult(rpc.NumberID(7), []byte(`{"usage":{},"finish_reason":"stop"}`))
		serve(t, got.tracer(1, true), invokeCall(), func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			c.Record.Try(rpc.Hop{Upstream: "llama-70b", Backend: "10.0.0.1:8000", Transport: "openai"}).End(rpc.Errorf(rpc.Overloaded, "it is busy"))
			time.Sleep(time.Second)
			c.Record.Again("overloaded")
			attempt := c.Record.Try(rpc.Hop{Upstream: "llama-70b", Backend: "10.0.0.2:8000", Transport: "openai"})
			time.Sleep(time.Second)
			var meter rpc.Meter
			attempt.Metered(&meter)
			meter.Part(rpc.Usage{Input: 5, Output: 1, Estimated: true})
			attempt.Saw(rpc.NewNotification("chunk", []byte(`{"text":"x"}`)))
			meter.Uses(rpc.Usage{Input: 5, Output: 3, Cached: 4})
			attempt.Saw(answer)
			return rpc.Respond(answer), nil
		})
		var lines [][]string
		for _, s := range got.list {
			lines = append(lines, told(s))
		}
		want := [][]string{
			{
				"SERVER chat default ",
				"gen_ai.operation.name=string_value:\"chat\"", "gen_ai.request.model=string_value:\"default\"", "gen_ai.request.stream=bool_value:true",
				"gen_ai.response.finish_reasons=array_value:{values:{string_value:\"stop\"}}", "gen_ai.response.time_to_first_chunk=double_value:2",
				"gen_ai.usage.cache_read.input_tokens=int_value:4", "gen_ai.usage.input_tokens=int_value:5", "gen_ai.usage.output_tokens=int_value:3",
				"headgate.endpoint=string_value:\"/rpc\"", "headgate.outcome=string_value:\"ok\"", "headgate.request.id=string_value:\"r1\"",
				"headgate.upstream=string_value:\"llama-70b\"", "jsonrpc.request.id=string_value:\"7\"", "network.transport=string_value:\"pipe\"",
				"rpc.method=string_value:\"invoke\"",
			},
			{
				"CLIENT chat llama-70b it is busy",
				"error.type=string_value:\"overloaded\"", "gen_ai.operation.name=string_value:\"chat\"", "gen_ai.provider.name=string_value:\"openai\"",
				"gen_ai.request.model=string_value:\"llama-70b\"", "gen_ai.request.stream=bool_value:true", "headgate.attempt.number=int_value:1",
				"headgate.outcome=string_value:\"overloaded\"", "headgate.upstream=string_value:\"llama-70b\"", "rpc.method=string_value:\"invoke\"",
				"server.address=string_value:\"10.0.0.1\"", "server.port=int_value:8000",
			},
			{
				"CLIENT chat llama-70b ",
				"gen_ai.operation.name=string_value:\"chat\"", "gen_ai.provider.name=string_value:\"openai\"",
				"gen_ai.request.model=string_value:\"llama-70b\"", "gen_ai.request.stream=bool_value:true",
				"gen_ai.response.finish_reasons=array_value:{values:{string_value:\"stop\"}}", "gen_ai.response.time_to_first_chunk=double_value:1",
				"gen_ai.usage.cache_read.input_tokens=int_value:4", "gen_ai.usage.input_tokens=int_value:5", "gen_ai.usage.output_tokens=int_value:3",
				"headgate.attempt.number=int_value:2", "headgate.attempt.reason=string_value:\"overloaded\"", "headgate.outcome=string_value:\"ok\"",
				"headgate.upstream=string_value:\"llama-70b\"", "rpc.method=string_value:\"invoke\"",
				"server.address=string_value:\"10.0.0.2\"", "server.port=int_value:8000",
			},
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("spans (-want +got):\n%s", diff)
		}
	})
}

// A model that is asked in the middle of a call is part of its trace, as it is sampled.
func TestSpanOfAnInnerCall(t *testing.T) {
	t.Parallel()
	for _, sampled := range []bool{true, false} {
		var got spans
		tracer := got.tracer(1, true)
		if !sampled {
			tracer = got.tracer(0, true)
		}
		var inner *rpc.Call
		outer := toolCall("{}")
		serve(t, tracer, outer, func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			inner = invokeCall()
			inner.Record = c.Record.Child()
			serve(t, tracer, inner, answers(fine))
			return rpc.Respond(fine), nil
		})
		if inner.Record.Trace.ID != outer.Record.Trace.ID || inner.Record.Trace.Parent != outer.Record.Trace.Span || inner.Record.Trace.Sampled != sampled {
			t.Errorf("sampled %v: the inner call is at %+v, the outer one at %+v", sampled, inner.Record.Trace, outer.Record.Trace)
		}
		if !sampled {
			continue
		}
		if len(got.list) != 3 || got.list[0].GetKind() != tracepb.Span_SPAN_KIND_INTERNAL || got.list[0].GetName() != "chat default" {
			t.Errorf("%v", got.list)
		}
	}
	if (*rpc.Record)(nil).Child().Trace != (rpc.Trace{}) {
		t.Error("a call of nobody has a trace")
	}
}

// Where the dialect has another code for a failure, the client's is shown.
func TestCodesOfTheDialect(t *testing.T) {
	t.Parallel()
	var got spans
	tracer := telemetry.NewTracer(telemetry.TracerConfig{
		Sample: 1, Export: func(s *tracepb.Span) { got.list = append(got.list, s) },
		Status: func(d rpc.Dialect, _ *rpc.Error) int64 { return map[rpc.Dialect]int64{rpc.MCP: 1, rpc.Infer: 2}[d] },
	})
	serve(t, tracer, invokeCall(), func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		return nil, rpc.Errorf(rpc.RateLimited, "slow down")
	})
	lines := strings.Join(told(got.list[0]), "\n")
	if !strings.Contains(lines, `error.type=string_value:"rate_limited"`) || !strings.Contains(lines, `rpc.response.status_code=string_value:"2"`) {
		t.Error(lines)
	}
}
