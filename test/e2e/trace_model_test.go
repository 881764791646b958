package e2e

import (
	"net/http"
	"strings"
	"testing"

	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/headgate/headgate/test/fake/engine"
)

// A model that is asked in parts is a call and, below it, each time that a backend was asked; so is one that a tool asks, below the tool.
func TestTracesOfModels(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{})
	models := strings.Replace(engineModels(e.URL, "sim"), "{warm_up", "{aliases: [default], warm_up", 1)
	t.Run("invoke", func(t *testing.T) {
		t.Parallel()
		c := startCollector(t)
		g := startGateway(t, tracedTo(c, "")+models)
		next := spoken(t, t.Context(), endpoint(g, "/rpc"), "", `{"id":7,"method":"invoke","params":{"model":"default","prompt":"hello","stream":true,"max_tokens":5}}`)
		for next() != nil {
			continue
		}
		golden(t, "trace_invoke.txt", c.wait(t, func(spans []*tracepb.Span) bool { return count(spans, asks, "chat sim") == 1 && len(spans) == 2 }))
	})
	t.Run("as a tool", func(t *testing.T) {
		t.Parallel()
		c := startCollector(t)
		g := startGateway(t, tracedTo(c, "")+models+"endpoints: {/mcp/models: {models: [sim]}}\n")
		s, _ := watched(t, endpoint(g, "/mcp/models"), "2025-11-25", http.Header{})
		if _, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: "invoke_sim", Arguments: map[string]any{"prompt": "hello", "max_tokens": 5}}); err != nil {
			t.Fatal(err)
		}
		golden(t, "trace_model_tool.txt", c.wait(t, func(spans []*tracepb.Span) bool {
			return count(spans, asks, "chat sim") == 1 && count(spans, asked, "tools/call invoke_sim") == 1 && len(spans) == 5
		}))
	})
}
