package e2e

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	diff "github.com/google/go-cmp/cmp"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/headgate/headgate/test/fake"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	asked = tracepb.Span_SPAN_KIND_SERVER
	asks  = tracepb.Span_SPAN_KIND_CLIENT
)

// golden compares a picture of spans with the one that is kept.
func golden(t *testing.T, name string, spans []*tracepb.Span) {
	t.Helper()
	file, got := filepath.Join("testdata", name), picture(spans)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := diff.Diff(string(want), got); d != "" {
		t.Errorf("spans (-want +got):\n%s", d)
	}
}

func tracedTo(c *collector, more string) string {
	return fmt.Sprintf("telemetry: {traces: {otlp: %q, sample: 100%%%s}}\n", c.URL, more)
}

func TestTraceOfACallToAProgram(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	g := startGateway(t, tracedTo(c, "")+"upstreams:\n"+stdioUpstream("child", stdioServer(t)))
	s := connect(t, endpoint(g, "/mcp"), "2025-11-25", nil)
	if _, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: "child__echo", Arguments: map[string]any{"text": "hi"}}); err != nil {
		t.Fatal(err)
	}
	golden(t, "trace_stdio.txt", c.wait(t, func(spans []*tracepb.Span) bool {
		return count(spans, asked, "tools/call child__echo") == 1 && count(spans, asks, "tools/call echo") == 1 && len(spans) == 4
	}))
}

// connect opens a session, or what a modern client has instead of one.
func connect(t *testing.T, url, revision string, elicit func(context.Context, *gosdk.ElicitRequest) (*gosdk.ElicitResult, error)) *gosdk.ClientSession {
	t.Helper()
	c := gosdk.NewClient(&gosdk.Implementation{Name: "e2e", Version: "1"}, &gosdk.ClientOptions{ElicitationHandler: elicit})
	s, err := c.Connect(t.Context(), &gosdk.StreamableClientTransport{Endpoint: url, DisableStandaloneSSE: true},
		&gosdk.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestTracesOfQuestionsAcrossEras(t *testing.T) {
	t.Parallel()
	form := &gosdk.ElicitParams{Message: "name?", RequestedSchema: nameSchema}
	done := &gosdk.CallToolResult{Content: []gosdk.Content{&gosdk.TextContent{Text: "done"}}}
	for _, test := range []struct {
		client, era string
		calls       int // rounds that the client sees
		tool        gosdk.ToolHandler
	}{
		{"2026-07-28", "legacy", 2, func(ctx context.Context, req *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
			_, err := req.Session.Elicit(ctx, form)
			return done, err
		}},
		{"2025-11-25", "modern", 1, func(_ context.Context, req *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
			if len(req.Params.InputResponses) == 0 {
				return &gosdk.CallToolResult{InputRequests: gosdk.InputRequestMap{"form": form}}, nil
			}
			return done, nil
		}},
	} {
		t.Run("to "+test.era, func(t *testing.T) {
			t.Parallel()
			asker := gosdk.NewServer(&gosdk.Implementation{Name: "asker", Version: "1"}, nil)
			asker.AddTool(&gosdk.Tool{Name: "ask", InputSchema: map[string]any{"type": "object"}}, test.tool)
			web := httptest.NewServer(gosdk.NewStreamableHTTPHandler(func(*http.Request) *gosdk.Server { return asker },
				&gosdk.StreamableHTTPOptions{Stateless: test.era == "modern"}))
			t.Cleanup(web.Close)
			c := startCollector(t)
			g := startGateway(t, tracedTo(c, "")+fmt.Sprintf("upstreams:\n  up: {url: %q, era: %s}\n", web.URL, test.era))
			s := connect(t, endpoint(g, "/mcp/up"), test.client, func(context.Context, *gosdk.ElicitRequest) (*gosdk.ElicitResult, error) {
				return &gosdk.ElicitResult{Action: "accept", Content: map[string]any{"name": "Ada"}}, nil
			})
			if _, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: "ask"}); err != nil {
				t.Fatal(err)
			}
			golden(t, "trace_to_"+test.era+".txt", c.wait(t, func(spans []*tracepb.Span) bool {
				return count(spans, asked, "tools/call ask") == test.calls && count(spans, asks, "tools/call ask") == 3-test.calls
			}))
		})
	}
}

// A call that another server takes over, and of which a third one gets a copy, is one trace.
func TestTraceOfARoutedCall(t *testing.T) {
	t.Parallel()
	up := func() *httptest.Server {
		s := fake.New(fake.Config{Eras: fake.Modern, Tools: []fake.Tool{{Name: "echo", Behaviour: fake.Result([]byte(`{"resultType":"complete","content":[]}`))}}})
		web := httptest.NewServer(s)
		t.Cleanup(func() { s.Close(); web.CloseClientConnections(); web.Close() })
		return web
	}
	first, second, third := up(), up(), up()
	c := startCollector(t)
	g := startGateway(t, tracedTo(c, "")+"routes:\n  - {match: {tool: first__echo}, fallback: [second], mirror: third, mirror_all: true}\nupstreams:\n"+
		httpUpstream("first", first.URL)+httpUpstream("second", second.URL)+httpUpstream("third", third.URL))
	first.CloseClientConnections()
	first.Close()
	r := &raw{t: t, url: endpoint(g, "/mcp")}
	_, body := r.post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"first__echo",`+modernMeta+`}}`, modernHeaders("tools/call", "first__echo"))
	if !strings.Contains(body, `"result"`) {
		t.Fatal(body)
	}
	spans := c.wait(t, func(spans []*tracepb.Span) bool { return count(spans, asks, "tools/call echo") >= 3 })
	slices.SortStableFunc(spans, func(a, b *tracepb.Span) int { return cmp.Compare(upstreamOf(a), upstreamOf(b)) })
	golden(t, "trace_routed.txt", spans)
}

func upstreamOf(s *tracepb.Span) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == "headgate.upstream" && s.GetKind() == asks {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}
