package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/telemetry"
)

// spans are what a tracer exported.
type spans struct{ list []*tracepb.Span }

func (s *spans) tracer(sample float64, trust bool) *telemetry.Tracer {
	return telemetry.NewTracer(telemetry.TracerConfig{
		Sample: sample, TrustClients: trust, Export: func(span *tracepb.Span) { s.list = append(s.list, span) },
		Status: func(_ rpc.Dialect, e *rpc.Error) int64 { return 100 + int64(e.Code) },
	})
}

func toolCall(meta string) *rpc.Call {
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), "tools/call", []byte(`{"name":"x","_meta":`+meta+`}`)), Method: &rpc.Method{Name: "tools/call"},
		Received: time.Now(), Record: &rpc.Record{}, Header: http.Header{}, Target: rpc.Target{Kind: rpc.Tool, Exposed: "up__x", Own: "x", Upstream: "up"},
	}
}

// serve passes a call through a tracer to an upstream, and closes the reply.
func serve(t testing.TB, tracer *telemetry.Tracer, c *rpc.Call, upstream rpc.HandlerFunc) {
	t.Helper()
	reply, err := rpc.Observe(tracer)(upstream).Handle(t.Context(), c)
	if err != nil {
		return
	}
	for err == nil {
		_, err = reply.Next()
	}
	_ = reply.Close()
}

func answers(m *rpc.Message) rpc.HandlerFunc {
	return func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		c.Record.Note(rpc.Routed, "up", 0)
		c.Record.Try(rpc.Hop{Upstream: "up", Backend: "10.0.0.1:9000", Transport: "http", Revision: "2025-11-25"}).Saw(m)
		return rpc.Respond(m), nil
	}
}

var fine = rpc.NewResult(rpc.NumberID(1), []byte(`{"content":[]}`))

const (
	idA   = "4bf92f3577b34da6a3ce929d0e0e4736"
	idB   = "0af7651916cd43dd8448eb211c80319c"
	spanA = "00f067aa0ba902b7"
	spanB = "b7ad6b7169203331"
)

func TestContextOfACall(t *testing.T) {
	t.Parallel()
	parent := func(id, span, flags string) string { return "00-" + id + "-" + span + "-" + flags }
	meta := func(text string) string { return `{"traceparent":"` + text + `"}` }
	good := parent(idA, spanA, "01")
	tests := map[string]struct {
		meta         string
		header       http.Header
		bare         bool
		id, parent   string // empty: a new trace
		state, links string
		unsampled    bool
	}{
		"none":                     {meta: `{}`},
		"meta":                     {meta: meta(good), id: idA, parent: spanA},
		"not sampled":              {meta: meta(parent(idA, spanA, "00")), id: idA, parent: spanA, unsampled: true},
		"flags nobody knows":       {meta: meta(parent(idA, spanA, "ff")), id: idA, parent: spanA},
		"header":                   {meta: `{}`, header: http.Header{"Traceparent": {good}}, id: idA, parent: spanA},
		"header of a connection":   {meta: `{}`, header: http.Header{"Traceparent": {good}}, bare: true},
		"two headers":              {meta: `{}`, header: http.Header{"Traceparent": {good, good}}},
		"meta and header differ":   {meta: meta(good), header: http.Header{"Traceparent": {parent(idB, spanB, "00")}}, id: idA, parent: spanA, links: idB + " " + spanB},
		"meta and header agree":    {meta: meta(good), header: http.Header{"Traceparent": {good}}, id: idA, parent: spanA},
		"meta is bad, header good": {meta: meta("x"), header: http.Header{"Traceparent": {good}}, id: idA, parent: spanA},
		"no string":                {meta: `{"traceparent":7}`},
		"empty":                    {meta: meta("")},
		"too short":                {meta: meta(good[:54])},
		"too long":                 {meta: meta(good + "-00")},
		"later version":            {meta: meta("cc" + good[2:] + "-what"), id: idA, parent: spanA},
		"later version, run on":    {meta: meta("cc" + good[2:] + "x")},
		"version ff":               {meta: meta("ff" + good[2:])},
		"upper case":               {meta: meta(strings.ToUpper(good))},
		"upper case version":       {meta: meta("CC" + good[2:])},
		"zero trace":               {meta: meta(parent(strings.Repeat("0", 32), spanA, "01"))},
		"zero span":                {meta: meta(parent(idA, strings.Repeat("0", 16), "01"))},
		"no hexadecimal":           {meta: meta(parent(idA[:31]+"g", spanA, "01"))},
		"other separators":         {meta: meta(strings.ReplaceAll(good, "-", "_"))},
		"escaped":                  {meta: meta(`\u0030` + good[1:])},
		"state":                    {meta: `{"traceparent":"` + good + `","tracestate":"a=1,b=2"}`, id: idA, parent: spanA, state: "a=1,b=2"},
		"state without a parent":   {meta: `{"tracestate":"a=1"}`},
		"state that is none":       {meta: `{"traceparent":"` + good + `","tracestate":"a"}`, id: idA, parent: spanA},
		"state too long":           {meta: `{"traceparent":"` + good + `","tracestate":"a=` + strings.Repeat("x", 511) + `"}`, id: idA, parent: spanA},
		"state twice the same":     {meta: `{"traceparent":"` + good + `","tracestate":"a=1,a=2"}`, id: idA, parent: spanA},
		"state in two headers":     {meta: `{}`, header: http.Header{"Traceparent": {good}, "Tracestate": {"a=1", "b=2"}}, id: idA, parent: spanA, state: "a=1,b=2"},
		"state of the other one":   {meta: meta(good), header: http.Header{"Traceparent": {parent(idB, spanB, "01")}, "Tracestate": {"a=1"}}, id: idA, parent: spanA, links: idB + " " + spanB},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := toolCall(tc.meta)
			c.Bare = tc.bare
			if tc.header != nil {
				c.Header = tc.header
			}
			var got spans
			got.tracer(1, true).Begin(c)
			trace := c.Record.Trace
			if tc.id == "" {
				tc.id, tc.parent = trace.ID.String(), strings.Repeat("0", 16)
				if trace.ID == (rpc.TraceID{}) || trace.ID.String() == idA {
					t.Errorf("the new trace has the id %v", trace.ID)
				}
			}
			links := ""
			for _, l := range c.Record.Links() {
				links += l.ID.String() + " " + l.Span.String()
			}
			want := []any{tc.id, tc.parent, tc.state, tc.links, !tc.unsampled}
			if diff := cmp.Diff(want, []any{trace.ID.String(), trace.Parent.String(), trace.State, links, trace.Sampled}); diff != "" {
				t.Errorf("context (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSampling(t *testing.T) {
	t.Parallel()
	sampled, not := `{"traceparent":"00-`+idA+`-`+spanA+`-01"}`, `{"traceparent":"00-`+idA+`-`+spanA+`-00"}`
	tests := map[string]struct {
		sample float64
		trust  bool
		meta   string
		want   int
	}{
		"all":                          {1, true, `{}`, 1000},
		"none":                         {0, true, `{}`, 0},
		"none, but the client does":    {0, true, sampled, 1000},
		"all, but the client does not": {1, true, not, 0},
		"a client nobody trusts does":  {0, false, sampled, 0},
		"one nobody trusts does not":   {1, false, not, 1000},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got spans
			tracer, n := got.tracer(tc.sample, tc.trust), 0
			for range 1000 {
				c := toolCall(tc.meta)
				if tracer.Begin(c); c.Record.Trace.Sampled {
					n++
				}
			}
			if n != tc.want {
				t.Errorf("%d of 1000 are sampled, want %d", n, tc.want)
			}
		})
	}
	t.Run("a share", func(t *testing.T) {
		t.Parallel()
		var got spans
		tracer, n := got.tracer(0.25, true), 0
		for range 10000 {
			c := toolCall(`{}`)
			if tracer.Begin(c); c.Record.Trace.Sampled {
				n++
			}
		}
		if n < 2200 || n > 2800 { // seven standard deviations
			t.Errorf("%d of 10000 are sampled, want 2500", n)
		}
	})
}

// What the record says is in the spans, at the time when it happened.
func TestSpansSayWhatTheRecordDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := toolCall(`{"traceparent":"00-` + idA + `-` + spanA + `-01","tracestate":"a=1"}`)
		c.Header.Set("Traceparent", "00-"+idB+"-"+spanB+"-01")
		c.Client = rpc.Client{Session: "the handle of a session"}
		c.Principal = rpc.Principal{Org: "acme", Team: "tools", Key: "ci", User: "ada@example.com"}
		c.Target.Exposed = "Bearer abcdefghijklmnop" // whatever a client names
		began := c.Received
		var got spans
		serve(t, got.tracer(0, true), c, func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			time.Sleep(time.Second)
			c.Record.Waited("up", time.Second)
			attempt := c.Record.Try(rpc.Hop{Upstream: "up", Backend: "[::1]:9000", Transport: "ws", Revision: "2025-11-25"})
			time.Sleep(time.Second)
			attempt.Saw(rpc.NewNotification("notifications/progress", nil))
			time.Sleep(time.Second)
			attempt.Saw(fine)
			return rpc.Respond(fine), nil
		})
		text := fmt.Sprint(got.list)
		if len(got.list) != 2 || strings.Contains(text, "abcdefghijklmnop") || strings.Contains(text, "the handle") || strings.Contains(text, "ada@") {
			t.Fatalf("spans %s", text)
		}
		server, client := got.list[0], got.list[1]
		type times struct{ began, event, ended time.Duration }
		since := func(nano uint64) time.Duration { return time.Duration(nano - uint64(began.UnixNano())) }
		timesOf := func(s *tracepb.Span) times {
			return times{since(s.GetStartTimeUnixNano()), since(s.GetEvents()[0].GetTimeUnixNano()), since(s.GetEndTimeUnixNano())}
		}
		want := []times{{0, time.Second, 3 * time.Second}, {time.Second, 2 * time.Second, 3 * time.Second}}
		if diff := cmp.Diff(want, []times{timesOf(server), timesOf(client)}, cmp.AllowUnexported(times{})); diff != "" {
			t.Errorf("times (-want +got):\n%s", diff)
		}
		have := []string{
			fmt.Sprintf("%x", server.GetTraceId()), fmt.Sprintf("%x", server.GetParentSpanId()), server.GetTraceState(), client.GetTraceState(),
			fmt.Sprintf("%x %x", server.GetLinks()[0].GetTraceId(), server.GetLinks()[0].GetSpanId()), fmt.Sprint(string(client.GetParentSpanId()) == string(server.GetSpanId())),
			server.GetEvents()[0].GetName(), attribute(server, "headgate.org") + attribute(server, "headgate.team") + attribute(server, "headgate.key"),
			attribute(client, "server.address"), attribute(client, "network.protocol.name"), fmt.Sprint(len(attribute(server, "mcp.session.id"))),
		}
		if diff := cmp.Diff([]string{idA, spanA, "a=1", "a=1", idB + " " + spanB, "true", "queued", "acmetoolsci", "::1", "websocket", "16"}, have); diff != "" {
			t.Errorf("spans (-want +got):\n%s", diff)
		}
		waited := 0.0
		for _, a := range client.GetAttributes() {
			if a.GetKey() == "headgate.queue.wait" {
				waited = a.GetValue().GetDoubleValue()
			}
		}
		if waited != 1 {
			t.Errorf("waited %v s, want 1", waited)
		}
	})
}

// What fails by a fault of ours or the upstream's is exported at 0 %, and nothing else is.
func TestFailuresAreKept(t *testing.T) {
	t.Parallel()
	refuses := func(code rpc.Code) rpc.HandlerFunc {
		return func(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, rpc.Errorf(code, "why") }
	}
	fails := func(code int64) rpc.HandlerFunc {
		return answers(rpc.NewError(rpc.NumberID(1), &rpc.WireError{Code: code, Message: "why"}))
	}
	const bad, unset = tracepb.Status_STATUS_CODE_ERROR, tracepb.Status_STATUS_CODE_UNSET
	tests := map[string]struct {
		upstream rpc.HandlerFunc
		want     string // kinds of error of the spans; empty for no spans
		status   tracepb.Status_StatusCode
	}{
		"success":              {upstream: answers(fine)},
		"client's own fault":   {upstream: fails(-32602)},
		"fault of the server":  {upstream: fails(-32603), want: "-32603 -32603", status: bad},
		"server's own code":    {upstream: fails(-32001), want: "-32001 -32001", status: bad},
		"tool failed":          {upstream: answers(rpc.NewResult(rpc.NumberID(1), []byte(`{"content":[],"isError":true}`))), want: "tool_error tool_error", status: bad},
		"forbidden":            {upstream: refuses(rpc.Forbidden)},
		"too many requests":    {upstream: refuses(rpc.RateLimited)},
		"overloaded":           {upstream: refuses(rpc.Overloaded), want: fmt.Sprint(100 + int(rpc.Overloaded)), status: bad},
		"timeout":              {upstream: refuses(rpc.UpstreamTimeout), want: fmt.Sprint(100 + int(rpc.UpstreamTimeout)), status: bad},
		"defect":               {upstream: func(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, errors.New("defect") }, want: "100", status: bad},
		"cancelled":            {upstream: refuses(rpc.Cancelled)},
		"second attempt works": {upstream: secondWorks, want: " upstream_down ", status: unset},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got spans
			serve(t, got.tracer(0, true), toolCall(`{}`), tc.upstream)
			var kinds []string
			for _, s := range got.list {
				kinds = append(kinds, attribute(s, "error.type"))
			}
			if have := strings.Join(kinds, " "); have != tc.want || len(got.list) > 0 && got.list[0].GetStatus().GetCode() != tc.status {
				t.Errorf("kinds of error %q, want %q; first status %v", have, tc.want, got.list)
			}
		})
	}
}

func secondWorks(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
	c.Record.Try(rpc.Hop{Upstream: "up"}).End(rpc.Errorf(rpc.UpstreamDown, "gone"))
	c.Record.Again("retry")
	c.Record.Try(rpc.Hop{Upstream: "up"}).Saw(fine)
	return rpc.Respond(fine), nil
}

func attribute(s *tracepb.Span, key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// Failures are exported in bounded number: an upstream that is down says so often enough.
func TestFailuresAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got spans
		tracer := got.tracer(0, true)
		fail := func(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, rpc.Errorf(rpc.UpstreamDown, "gone") }
		for range 1000 {
			serve(t, tracer, toolCall(`{}`), fail)
		}
		time.Sleep(time.Second)
		serve(t, tracer, toolCall(`{}`), fail)
		if len(got.list) != 101 {
			t.Errorf("%d spans are exported, want 101", len(got.list))
		}
	})
}

// A parked call ends after the round that began it.
func TestAttemptThatOutlastsItsCall(t *testing.T) {
	t.Parallel()
	for _, sample := range []float64{0, 1} {
		for _, end := range []error{nil, rpc.Errorf(rpc.UpstreamDown, "gone")} {
			var got spans
			c := toolCall(`{}`)
			var attempt *rpc.Try
			serve(t, got.tracer(sample, true), c, func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
				attempt = c.Record.Try(rpc.Hop{Upstream: "up"})
				return rpc.Respond(fine), nil
			})
			before := len(got.list)
			*c = rpc.Call{} // its memory is used again
			if end == nil {
				attempt.Saw(fine)
			} else {
				attempt.End(end)
			}
			want := []int{0, 0}
			if sample == 1 {
				want = []int{1, 2}
			} else if end != nil {
				want = []int{0, 1}
			}
			if diff := cmp.Diff(want, []int{before, len(got.list)}); diff != "" {
				t.Errorf("sample %v, end %v: spans before and after (-want +got):\n%s", sample, end, diff)
			}
			if n := len(got.list); n > 0 && got.list[n-1].GetName() != "tools/call x" {
				t.Errorf("span %s", got.list[n-1].GetName())
			}
		}
	}
}

func TestEdgeRequestsAreNotTraced(t *testing.T) {
	t.Parallel()
	var got spans
	for name, want := range map[string]bool{"session/stream": false, "session/check": false, "notifications/initialized": true} {
		c := toolCall(`{}`)
		c.Message = rpc.NewNotification(name, nil)
		got.tracer(1, true).Begin(c)
		if traced := c.Record.Trace.ID != (rpc.TraceID{}); traced != want {
			t.Errorf("%s: traced %v", name, traced)
		}
	}
}

// FuzzTraceParent holds our parser against OpenTelemetry's.
func FuzzTraceParent(f *testing.F) {
	for _, seed := range []string{
		"", "00-" + idA + "-" + spanA + "-01", "00-" + idA + "-" + spanA + "-00", "cc-" + idA + "-" + spanA + "-01-x", "ff-" + idA + "-" + spanA + "-01",
		"00-" + idA + "-" + spanA + "-01-", "00-" + strings.ToUpper(idA) + "-" + spanA + "-01", "00-00000000000000000000000000000000-" + spanA + "-01",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, span, sampled, ok := rpc.ParseTraceParent(text)
		ctx := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": text})
		want := trace.SpanContextFromContext(ctx)
		if ok != want.IsValid() {
			if !ok && text[:2] == "00" && len(text) > 55 {
				return // version 00 ends there (§3.2.2), which theirs does not mind
			}
			if ok && text[:2] == "00" && text[53:55] > "02" {
				return // flags that version 00 does not define are ignored (W3C Trace Context, §3.2.2.5)
			}
			t.Fatalf("%q: accepted %v, OpenTelemetry %v", text, ok, want.IsValid())
		}
		if ok && (id.String() != want.TraceID().String() || span.String() != want.SpanID().String() || sampled != want.IsSampled()) {
			t.Fatalf("%q: %v %v %v, OpenTelemetry %v", text, id, span, sampled, want)
		}
	})
}

// A call that is not sampled costs no memory beyond its record.
func TestUnsampledCallsTakeNoMemory(t *testing.T) {
	upstream := answers(fine)
	run := func(h rpc.Handler, meta string) float64 {
		c := toolCall(meta)
		return testing.AllocsPerRun(200, func() {
			c.Record = &rpc.Record{}
			reply, err := h.Handle(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = reply.Next()
			_ = reply.Close()
		})
	}
	for _, meta := range []string{`{}`, `{"traceparent":"00-` + idA + `-` + spanA + `-00"}`} {
		off, on := run(upstream, meta), run(rpc.Observe((&discard{}).tracer(0))(upstream), meta)
		if on > off {
			t.Errorf("%s: %v allocations, %v without tracing", meta, on, off)
		}
	}
}

func BenchmarkTracer(b *testing.B) {
	upstream := answers(fine)
	for name, observe := range map[string]rpc.Middleware{
		"off":     func(next rpc.Handler) rpc.Handler { return next },
		"0%":      rpc.Observe((&discard{}).tracer(0)),
		"100%":    rpc.Observe((&discard{}).tracer(1)),
		"parent ": rpc.Observe((&discard{}).tracer(0)),
	} {
		b.Run(name, func(b *testing.B) {
			meta := `{}`
			if name == "parent " {
				meta = `{"traceparent":"00-` + idA + `-` + spanA + `-00"}`
			}
			c := toolCall(meta)
			h := observe(upstream)
			b.ReportAllocs()
			for b.Loop() {
				c.Record = &rpc.Record{}
				reply, err := h.Handle(b.Context(), c)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = reply.Next()
				_ = reply.Close()
			}
		})
	}
}

type discard struct{}

func (*discard) tracer(sample float64) *telemetry.Tracer {
	return telemetry.NewTracer(telemetry.TracerConfig{Sample: sample, TrustClients: true, Export: func(*tracepb.Span) {}, Status: func(rpc.Dialect, *rpc.Error) int64 { return 0 }})
}
