package e2e

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake"
	"github.com/headgate/headgate/test/fake/engine"
)

// scrape returns what a gateway shows to Prometheus, as the reader of Prometheus understands it.
func scrape(t *testing.T, g *gateway.Gateway) map[string]*dto.MetricFamily {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.AdminAddr()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", res.Status, err)
	}
	return families
}

// labelsOf are the names of the labels that the series of a family have.
func labelsOf(f *dto.MetricFamily) (out []string) {
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			out = append(out, l.GetName())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// row is a line of the tables in docs/metrics.md: name, type, labels.
var row = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (gauge|counter|histogram|summary|untyped) \\|([^|]*)\\|")

// documented are those lines, as `name type labels`.
func documented(t *testing.T) (out []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		labels := strings.Fields(strings.NewReplacer("`", "", ",", "").Replace(m[3]))
		slices.Sort(labels)
		out = append(out, strings.TrimSpace(m[1]+" "+m[2]+" "+strings.Join(labels, " ")))
	}
	slices.Sort(out)
	return out
}

// What docs/metrics.md lists is what there is after traffic of all kinds, and nothing else.
func TestMetricsAreWhatTheDocumentationSays(t *testing.T) {
	t.Parallel()
	g := startMeasured(t)
	var got []string
	for name, f := range scrape(t, g) {
		got = append(got, strings.TrimSpace(name+" "+strings.ToLower(f.GetType().String())+" "+strings.Join(labelsOf(f), " ")))
	}
	slices.Sort(got)
	if diff := cmp.Diff(documented(t), got); diff != "" {
		t.Errorf("docs/metrics.md and /metrics differ (-documented +shown):\n%s", diff)
	}
}

// startMeasured runs a gateway with all that counts something, and makes calls of all kinds.
func startMeasured(t *testing.T) *gateway.Gateway {
	t.Helper()
	_, first := fakeUpstream(t, fake.Config{Name: "one", Tools: []fake.Tool{
		{Name: "echo", Behaviour: fake.Echo}, {Name: "fail", Behaviour: fake.Fail(fake.Error{Code: -32000, Message: "no"})},
	}})
	_, second := fakeUpstream(t, fake.Config{Name: "two"})
	section, key := keys("acme")
	section = strings.Replace(section, `scopes: ["mcp:*"]`, `scopes: ["mcp:*", "infer:*"]`, 1)
	model := engine.Start(t, engine.Config{Slots: 1, TokenRate: 100})
	g := startGatewayWith(t, section+fmt.Sprintf("models:\n  sim: {max_in_flight: 1, backends: [{kind: openai, url: %q}]}\n  gone: {warm_up: {at: never}, backends: [{kind: openai, url: \"http://127.0.0.1:1\"}]}\n", model.URL+"/v1")+`
routes: [{match: {tool: "one__echo"}, to: one, mirror: two, mirror_all: true}]
limits:
  - {name: few, scope: key, unit: requests, rate: 1000/s, burst: 1000, tool: "one__echo"}
  - {name: none, scope: key, unit: requests, limit: 1, per: day, tool: "one__fail"}
cache: {lists: {ttl: 1m}}
audit: {file: `+filepath.Join(t.TempDir(), "audit.jsonl")+`}
upstreams:
`+fmt.Sprintf("  one: {url: %q, era: legacy, max_in_flight: 4, breaker: {failures: 5}}\n", first)+httpUpstream("two", second), slog.DiscardHandler)
	url, key1 := endpoint(g, "/mcp/one"), key["acme"]
	session := map[string]string{"Mcp-Session-Id": openSession(t, url, key1)}
	r := &raw{t: t, url: url, key: key1}
	call := func(method, params string) {
		r.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params), session)
	}
	call("tools/list", "{}")
	merged := endpoint(g, "/mcp")               // where copies are made
	asked := &raw{t: t, url: merged, key: key1} // whose server could ask it something, in a session of its own
	res, _ := asked.post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{}},"clientInfo":{"name":"raw","version":"1"}}}`, nil)
	asked.session = res.Header.Get("Mcp-Session-Id")
	asked.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","arguments":{}}}`, nil)
	if res := attempt(t, http.MethodDelete, merged, as(key1, map[string]string{"Mcp-Session-Id": asked.session})); res.StatusCode >= 300 {
		t.Errorf("the session was not ended: %s", res.Status)
	}
	invokeAll(t, endpoint(g, "/rpc"), key1)
	call("tools/call", `{"name":"fail","arguments":{}}`)
	call("tools/call", `{"name":"fail","arguments":{}}`)
	call("tools/call", `{"name":"unknown","arguments":{}}`)
	call("prompts/get", `{"name":"unknown"}`)
	(&raw{t: t, url: url, key: "wrong"}).post(listTools, nil)
	if res := attempt(t, http.MethodDelete, url, as(key1, session)); res.StatusCode >= 300 {
		t.Errorf("the session was not ended: %s", res.Status)
	}
	return g
}

// invokeAll asks a model in parts, twice at a time where it answers one call at a time, and what is refused.
func invokeAll(t *testing.T, url, key string) {
	t.Helper()
	for _, message := range []string{
		`{"id":1,"method":"invoke","params":{"model":"sim","prompt":"hello","stream":true,"max_tokens":30,"ignore_eos":true}}`,
		`{"id":1,"method":"invoke","params":{"model":"gone","prompt":"hello"}}`,
		`{"id":1,"method":"invoke","params":{"model":"none","prompt":"hello"}}`,
	} {
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				next := spoken(t, t.Context(), url, key, message)
				for next() != nil {
					continue
				}
			})
		}
		all.Wait()
	}
}

// Nobody sees metrics where the configuration says so, and then nothing is counted.
func TestMetricsAreOffWhereTheConfigurationSaysSo(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{})
	g := startGatewayWith(t, "telemetry: {metrics: {prometheus: false}}\nupstreams:\n"+httpUpstream("one", server), slog.DiscardHandler)
	if res := attempt(t, http.MethodGet, "http://"+g.AdminAddr()+"/metrics", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("GET /metrics: %s, want 404", res.Status)
	}
	legacy(t, endpoint(g, "/mcp"), "{}")
}

// The labels say what happened.
func TestMetricsCountCalls(t *testing.T) {
	t.Parallel()
	families := scrape(t, startMeasured(t))
	for _, tc := range []struct {
		series string
		labels map[string]string
		want   uint64
	}{
		{"mcp_server_operation_duration_seconds", map[string]string{"gen_ai_tool_name": "one__echo", "error_type": ""}, 1},
		{"mcp_server_operation_duration_seconds", map[string]string{"gen_ai_tool_name": "one__fail", "error_type": "-32000"}, 1},
		{"mcp_server_operation_duration_seconds", map[string]string{"gen_ai_tool_name": "one__fail", "error_type": "113"}, 1},
		{"mcp_server_operation_duration_seconds", map[string]string{"gen_ai_tool_name": "_OTHER", "mcp_method_name": "tools/call"}, 1},
		{"mcp_server_operation_duration_seconds", map[string]string{"mcp_method_name": "initialize"}, 2},
		{"mcp_client_operation_duration_seconds", map[string]string{"gen_ai_tool_name": "one__echo", "upstream": "one"}, 1},
		{"mcp_server_session_duration_seconds", nil, 2},
		{"mcp_client_session_duration_seconds", map[string]string{"upstream": "one"}, 1},
		{"headgate_calls_failed_total", map[string]string{"reason": "quota_exhausted"}, 1},
		{"headgate_ratelimit_rejected_total", map[string]string{"reason": "quota_exhausted"}, 1},
		{"headgate_upstream_up", map[string]string{"upstream": "one"}, 1},
		{"headgate_inference_operation_duration_seconds", map[string]string{"rpc_method": "invoke", "gen_ai_request_model": "sim", "error_type": ""}, 2},
		{"headgate_inference_operation_duration_seconds", map[string]string{"rpc_method": "invoke", "error_type": "invalid_params"}, 2},
		{"gen_ai_client_inference_usage_output_tokens_total", map[string]string{"gen_ai_request_model": "sim"}, 60},
		{"gen_ai_client_inference_time_to_first_chunk_seconds", map[string]string{"gen_ai_request_model": "sim"}, 2},
		{"gen_ai_client_inference_time_per_output_chunk_seconds", map[string]string{"gen_ai_provider_name": "openai"}, 58},
		{"gen_ai_client_inference_duration_seconds", map[string]string{"gen_ai_request_model": "sim", "error_type": ""}, 2},
		{"headgate_inference_operation_duration_seconds", map[string]string{"gen_ai_request_model": "gone", "error_type": "upstream_down"}, 2},
		{"headgate_model_up", map[string]string{"model": "sim"}, 1},
	} {
		if got := total(families[tc.series], tc.labels); got != tc.want {
			t.Errorf("%s%v is %d, want %d", tc.series, tc.labels, got, tc.want)
		}
	}
}

// total adds up the series of a family that have these labels; an empty value is for a label that a series lacks.
func total(f *dto.MetricFamily, labels map[string]string) (sum uint64) {
	for _, m := range f.GetMetric() {
		have := map[string]string{}
		for _, l := range m.GetLabel() {
			have[l.GetName()] = l.GetValue()
		}
		fits := true
		for name, value := range labels {
			fits = fits && have[name] == value
		}
		if fits {
			sum += m.GetHistogram().GetSampleCount() + uint64(m.GetCounter().GetValue()+m.GetGauge().GetValue())
		}
	}
	return sum
}
