package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/headgate/headgate/test/fake"
)

const (
	senderTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	senderSpan  = "00f067aa0ba902b7"
	sender      = "00-" + senderTrace + "-" + senderSpan + "-01"
)

// received returns what came upstream of tools/call: the _meta of its params, and its headers.
func received(t *testing.T, s *fake.Server) (map[string]any, http.Header) {
	t.Helper()
	for _, r := range slices.Backward(s.Received()) {
		var m struct {
			Method string
			Params struct {
				Meta map[string]any `json:"_meta"`
			}
		}
		if json.Unmarshal(r.Body, &m) == nil && m.Method == "tools/call" {
			maps.DeleteFunc(m.Params.Meta, func(key string, _ any) bool { return strings.HasPrefix(key, "io.modelcontextprotocol/") })
			return m.Params.Meta, r.Header
		}
	}
	t.Fatal("no call came upstream")
	return nil, nil
}

// What a client says of its trace reaches the upstream with our span in the place of the client's; the rest of its _meta is not touched.
func TestContextGoesUpstream(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	for _, era := range []struct {
		name string
		eras fake.Era
	}{{"legacy", fake.Legacy}, {"modern", fake.Modern}} {
		t.Run(era.name, func(t *testing.T) {
			t.Parallel()
			up, url := fakeUpstream(t, fake.Config{Eras: era.eras, Record: true})
			g := startGateway(t, tracedTo(c, "")+"upstreams:\n"+httpUpstream("up", url))
			meta := `"_meta":{"traceparent":"` + sender + `","tracestate":"a=1,b=2","baggage":"user=ada","x.y/z":{"n":1.0}}`
			legacy(t, endpoint(g, "/mcp"), "{}").post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"up__echo",`+meta+`}}`,
				map[string]string{"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Baggage": "user=ada"})
			spans := c.wait(t, func(spans []*tracepb.Span) bool {
				return len(ofCall(spans, senderTrace, url)) == 1
			})
			ours := fmt.Sprintf("00-%s-%x-01", senderTrace, ofCall(spans, senderTrace, url)[0].GetSpanId())
			got, header := received(t, up)
			if diff := cmp.Diff(map[string]any{"traceparent": ours, "tracestate": "a=1,b=2", "x.y/z": map[string]any{"n": 1.0}}, got); diff != "" {
				t.Errorf("_meta (-want +got):\n%s", diff)
			}
			if header.Get("Traceparent") != ours || header.Get("Tracestate") != "a=1,b=2" || header.Get("Baggage") != "" {
				t.Errorf("header %v, want traceparent %s", header, ours)
			}
		})
	}
}

// ofCall returns the spans of a trace that ask the server at an address.
func ofCall(spans []*tracepb.Span, trace, url string) (out []*tracepb.Span) {
	for _, s := range spans {
		for _, a := range s.GetAttributes() {
			if a.GetKey() == "server.port" && strings.HasSuffix(url, fmt.Sprint(":", a.GetValue().GetIntValue())) && fmt.Sprintf("%x", s.GetTraceId()) == trace {
				out = append(out, s)
			}
		}
	}
	return out
}

// Where nobody traces, what a client says of its trace passes as it is.
func TestContextPassesWhereNobodyTraces(t *testing.T) {
	t.Parallel()
	up, url := fakeUpstream(t, fake.Config{Record: true})
	g := startGateway(t, "upstreams:\n"+httpUpstream("up", url))
	s := legacy(t, endpoint(g, "/mcp"), "{}")
	for name, test := range map[string]struct {
		meta   string
		header map[string]string
		want   map[string]any
	}{
		"meta": {
			meta: `,"_meta":{"traceparent":"` + sender + `","tracestate":"a=1","baggage":"user=ada"}`,
			want: map[string]any{"traceparent": sender, "tracestate": "a=1", "baggage": "user=ada"},
		},
		"meta that is none":                    {meta: `,"_meta":{"traceparent":"x"}`, want: map[string]any{"traceparent": "x"}},
		"header, which is of the client's hop": {header: map[string]string{"Traceparent": sender, "Tracestate": "a=1"}},
		"nothing":                              {},
	} {
		s.post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"up__echo"`+test.meta+`}}`, test.header)
		got, header := received(t, up)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: _meta (-want +got):\n%s", name, diff)
		}
		if header.Get("Traceparent") != "" || header.Get("Tracestate") != "" {
			t.Errorf("%s: headers %v", name, header)
		}
	}
}

// With tracing on, a call that is not sampled still tells the upstream so, and what fails is exported at 0 %.
func TestFailuresAreTracedAtNoSample(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	up, url := fakeUpstream(t, fake.Config{Record: true, Tools: []fake.Tool{
		{Name: "echo", Behaviour: fake.Result([]byte(`{"content":[]}`))}, {Name: "broken", Behaviour: fake.Fail(fake.Error{Code: -32603, Message: "broken"})},
	}})
	g := startGateway(t, fmt.Sprintf("telemetry: {traces: {otlp: %q, sample: 0%%}}\nupstreams:\n", c.URL)+httpUpstream("up", url))
	s := legacy(t, endpoint(g, "/mcp"), "{}")
	call := func(tool string) {
		s.post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"up__`+tool+`"}}`, nil)
	}
	call("echo")
	if meta, _ := received(t, up); !strings.HasSuffix(fmt.Sprint(meta["traceparent"]), "-00") {
		t.Errorf("the upstream was told %v", meta)
	}
	call("broken")
	spans := c.wait(t, func(spans []*tracepb.Span) bool { return len(spans) >= 2 })
	golden(t, "trace_failure.txt", spans)
}
