package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/otlptranslator"

	"github.com/headgate/headgate/rpc"
)

var known = Vocabulary{
	Method: func(name string) bool {
		return strings.HasPrefix(name, "tools/") || name == "prompts/get" || name == "ping"
	},
	Revision: func(r rpc.Revision) bool { return r == "2025-11-25" },
	Code:     func(c rpc.Code) int64 { return int64(c) + 100 },
	Invokes:  func(name string) bool { return name == "invoke" },
}

// at is where a client is that came over TCP.
var at = netip.MustParseAddrPort("127.0.0.1:1")

// play passes a call through an observed handler that asks an upstream for a second, and returns what came of it.
func play(tb testing.TB, c *Calls, call *rpc.Call, answer *rpc.Message, failure error) {
	tb.Helper()
	call.Received, call.Record = time.Now(), &rpc.Record{}
	h := rpc.Observe(c)(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		if failure != nil {
			return nil, failure
		}
		t := call.Record.Try(rpc.Hop{Upstream: call.Target.Upstream, Backend: "10.0.0.1:80", Transport: "http"})
		t.Speak("2025-11-25")
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

func request(method string, target rpc.Target) *rpc.Call {
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), method, []byte(`{}`)), Method: &rpc.Method{Name: method}, Remote: at, Target: target,
		Client: rpc.Client{Revision: "2025-11-25"},
	}
}

// scrape returns the exposition of sources, without what the process tells of itself.
func scrape(tb testing.TB, sources ...Source) string {
	tb.Helper()
	r, err := NewRegistry(sources...)
	if err != nil {
		tb.Fatal(err)
	}
	w := httptest.NewRecorder()
	r.Handler(slog.New(slog.NewTextHandler(tb.Output(), nil))).ServeHTTP(w, httptest.NewRequestWithContext(tb.Context(), "GET", "/metrics", nil))
	p := expfmt.NewTextParser(model.LegacyValidation)
	if _, err := p.TextToMetricFamilies(strings.NewReader(w.Body.String())); err != nil {
		tb.Errorf("no reader takes it: %v\n%s", err, w.Body)
	}
	var out strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if !strings.Contains(line, "go_") && !strings.Contains(line, "process_") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// series are the lines of an exposition whose name begins like this.
func series(exposition, begin string) (out []string) {
	for line := range strings.Lines(exposition) {
		if strings.HasPrefix(line, begin) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

func TestExposition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, id := NewCalls(known), rpc.NumberID(1)
		tool := rpc.Target{Kind: rpc.Tool, Canonical: "files__read", Upstream: "files", Own: "read"}
		play(t, c, request("tools/call", tool), rpc.NewResult(id, []byte(`{"content":[]}`)), nil)
		play(t, c, request("tools/call", tool), rpc.NewResult(id, []byte(`{"isError":true}`)), nil)
		play(t, c, request("tools/call", tool), rpc.NewError(id, &rpc.WireError{Code: -32602, Message: "no"}), nil)
		play(t, c, request("tools/call", tool), rpc.NewError(id, &rpc.WireError{Code: -77, Message: "no"}), nil)
		play(t, c, request("prompts/get", rpc.Target{Canonical: "files__ask", Upstream: "files"}), rpc.NewResult(id, []byte(`{}`)), nil)
		play(t, c, request("tools/call", rpc.Target{}), nil, rpc.Errorf(rpc.InvalidParams, "unknown tool"))
		play(t, c, request("tools/call", tool), nil, rpc.Errorf(rpc.RateLimited, "slow down"))
		play(t, c, request("session/check", rpc.Target{}), nil, rpc.Errorf(rpc.Unauthenticated, "who are you"))
		piped := request("ping", rpc.Target{})
		piped.Remote, piped.Client.Revision = netip.AddrPort{}, "made-up"
		play(t, c, piped, rpc.NewResult(id, []byte(`{}`)), nil)
		s := NewSessions(known)
		s.Ended("2025-11-25", time.Minute)
		s.Ended("nonsense", 20*time.Minute)
		s.EndedUpstream("files", "stdio", "2025-11-25", time.Hour)
		s.EndedUpstream("files", "ws", "nonsense", time.Second)
		got := scrape(t, c.Samples, s.Samples)
		const golden = "testdata/exposition.golden"
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

// Clients cannot make series: what they name is a label only where somebody else lists it.
func TestNamesOfClientsAreNoLabels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewCalls(known)
		for i := range 100 {
			secret := fmt.Sprintf("sent-by-client-%d", i)
			for _, call := range []*rpc.Call{
				request("tools/call", rpc.Target{Canonical: secret}),
				request("tools/call", rpc.Target{Canonical: secret, Upstream: "files", Unlisted: true}),
				request("prompts/get", rpc.Target{Canonical: secret, Upstream: "files", Unlisted: true}),
				request(secret, rpc.Target{Upstream: "files"}),
				request("resources/read", rpc.Target{Kind: rpc.Resource, Canonical: secret, Upstream: "files", Own: secret}),
			} {
				call.Client = rpc.Client{Revision: rpc.Revision(secret), Session: secret, Info: []byte(secret)}
				call.Principal = rpc.Principal{Org: secret, Team: secret, Key: secret, User: secret}
				play(t, c, call, rpc.NewError(rpc.NumberID(1), &rpc.WireError{Code: int64(-1000 - i), Message: secret}), nil)
			}
		}
		got := scrape(t, c.Samples)
		if strings.Contains(got, "sent-by-client") {
			t.Error("what a client has sent is in the exposition")
		}
		if n := len(series(got, "mcp_server_operation_duration_seconds_count")); n != 3 {
			t.Errorf("%d series for calls, want 3: tools, prompts and the rest", n)
		}
	})
}

func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	h := newHistogram[serverKey](serverOperation, ofTools)
	key := func(i int) serverKey {
		return serverKey{subject: subject{method: callTool, tool: fmt.Sprintf("files__%d", i)}}
	}
	const many = 3 * seriesLimit
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for i := range many {
				h.observe(key(i), time.Millisecond)
			}
		})
	}
	work.Wait()
	if n := len(*h.known.Load()); n != seriesLimit+1 {
		t.Errorf("%d series, want %d and the one for the rest", n, seriesLimit)
	}
	var total uint64
	h.each(func(_ []string, d *durations) { total += d.read(h.scale).count })
	if total != 4*many {
		t.Errorf("%d durations, want %d", total, 4*many)
	}
	if rest := h.series(key(0).folded()).read(h.scale).count; rest != 4*(many-seriesLimit) {
		t.Errorf("%d durations are of the rest, want %d", rest, 4*(many-seriesLimit))
	}
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	var d durations
	for _, took := range []time.Duration{0, -time.Second, 10 * time.Millisecond, 10*time.Millisecond + 1, 300 * time.Second, 301 * time.Second} {
		d.observe(ofTools, took)
	}
	r := d.read(ofTools)
	if r.count != 6 || r.buckets[0.01] != 3 || r.buckets[0.02] != 4 || r.buckets[120] != 4 || r.buckets[300] != 5 {
		t.Errorf("%+v", r)
	}
}

// The names are those that OpenTelemetry's exporter makes.
func TestNamesAreTranslatedAsByOpenTelemetry(t *testing.T) {
	t.Parallel()
	kinds := map[Kind]otlptranslator.MetricType{
		Gauge: otlptranslator.MetricTypeGauge, Counter: otlptranslator.MetricTypeMonotonicCounter, Histogram: otlptranslator.MetricTypeHistogram,
	}
	metric := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	attribute := otlptranslator.LabelNamer{}
	var names []string
	for _, d := range Definitions() {
		want, err := metric.Build(otlptranslator.Metric{Name: d.Name, Unit: d.Unit, Type: kinds[d.Kind]})
		if err != nil || d.Series() != want {
			t.Errorf("%s is shown as %s, want %s (%v)", d.Name, d.Series(), want, err)
		}
		for i, l := range d.Labels {
			if want, err := attribute.Build(l); err != nil || d.LabelNames()[i] != want {
				t.Errorf("%s of %s is shown as %s, want %s (%v)", l, d.Name, d.LabelNames()[i], want, err)
			}
		}
		if d.Help == "" || !strings.HasSuffix(d.Help, ".") {
			t.Errorf("%s: %q explains nothing", d.Name, d.Help)
		}
		names = append(names, d.Name)
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("a name stands twice: %v", names)
	}
}

// A call that is parked ends before its attempt, which is recorded when it ends.
func TestAttemptsThatOutlastTheirCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewCalls(known)
		call := request("tools/call", rpc.Target{Canonical: "files__read", Upstream: "files"})
		call.Received, call.Record = time.Now(), &rpc.Record{}
		var first, second *rpc.Try
		h := rpc.Observe(c)(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			call.Record.Waited("files", 3*time.Second)
			first = call.Record.Try(rpc.Hop{Upstream: "files", Transport: "stdio"})
			first.End(errors.New("broken"))
			call.Record.Again("upstream_down")
			second = call.Record.Try(rpc.Hop{Upstream: "files", Transport: "ws"})
			return rpc.Respond(rpc.NewResult(rpc.NumberID(1), []byte(`{}`))), nil
		}))
		reply, err := h.Handle(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = reply.Next()
		_ = reply.Close()
		if n := len(series(scrape(t, c.Samples), "mcp_client_operation_duration_seconds_count")); n != 1 {
			t.Errorf("%d attempts are recorded while one of two runs", n)
		}
		time.Sleep(time.Second)
		second.End(io.EOF)
		got := scrape(t, c.Samples)
		for _, want := range []string{
			`headgate_queue_wait_seconds_sum{upstream="files"} 3`, `headgate_upstream_retries_total{upstream="files"} 1`,
			`mcp_client_operation_duration_seconds_sum{gen_ai_operation_name="execute_tool",gen_ai_tool_name="files__read",mcp_method_name="tools/call",network_protocol_name="websocket",network_transport="tcp",upstream="files"} 0.999999999`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in\n%s", want, got)
			}
		}
	})
}

// A series that is not as it was defined is a defect that shows, and hides no others.
func TestWrongLabelsHideNothingElse(t *testing.T) {
	t.Parallel()
	got := scrape(t, func(s *Sink) {
		s.Set(UpstreamUp, 1)
		s.Set(SessionsActive, 7)
	})
	if !strings.Contains(got, "headgate_sessions_active 7") || strings.Contains(got, "headgate_upstream_up") {
		t.Error(got)
	}
}

func BenchmarkEnd(b *testing.B) {
	c := NewCalls(known)
	call := request("tools/call", rpc.Target{Kind: rpc.Tool, Canonical: "files__read_text_file", Upstream: "files", Own: "read_text_file"})
	call.Record = &rpc.Record{}
	t := call.Record.Try(rpc.Hop{Upstream: "files", Backend: "127.0.0.1:9000", Transport: "http"})
	t.Speak("2025-11-25")
	t.Saw(rpc.NewResult(rpc.NumberID(1), []byte(`{}`)))
	b.ReportAllocs()
	for b.Loop() {
		c.End(call)
	}
}

func BenchmarkEndInParallel(b *testing.B) {
	c := NewCalls(known)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		call := request("tools/call", rpc.Target{Kind: rpc.Tool, Canonical: "files__read_text_file", Upstream: "files", Own: "read_text_file"})
		call.Record = &rpc.Record{}
		t := call.Record.Try(rpc.Hop{Upstream: "files", Backend: "127.0.0.1:9000", Transport: "http"})
		t.Saw(rpc.NewResult(rpc.NumberID(1), []byte(`{}`)))
		for pb.Next() {
			c.End(call)
		}
	})
}

func TestRecordingAllocatesNothing(t *testing.T) {
	c := NewCalls(known)
	call := request("tools/call", rpc.Target{Kind: rpc.Tool, Canonical: "files__read", Upstream: "files", Own: "read"})
	call.Record = &rpc.Record{}
	call.Record.Try(rpc.Hop{Upstream: "files"}).Saw(rpc.NewResult(rpc.NumberID(1), []byte(`{}`)))
	if n := testing.AllocsPerRun(100, func() { c.End(call) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
