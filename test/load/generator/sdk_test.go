package generator

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A real server of both eras accepts what the generator sends, and its answers pass, though it writes texts with other
// escapes than it received.
func TestARealServerPasses(t *testing.T) {
	t.Parallel()
	server := mcp.NewServer(&mcp.Implementation{Name: "sdk", Version: "1"}, nil)
	server.AddTool(&mcp.Tool{Name: "echo", InputSchema: json.RawMessage(`{"type":"object"}`)},
		func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			var arguments struct{ Nonce, Text string }
			if err := json.Unmarshal(r.Params.Arguments, &arguments); err != nil {
				return nil, err
			}
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: arguments.Nonce}, &mcp.TextContent{Text: arguments.Text}}}, nil
		})
	for _, era := range []Era{Legacy, Modern} {
		for name, inJSON := range map[string]bool{"SSE": false, "JSON": true} {
			t.Run(string(era)+" "+name, func(t *testing.T) {
				t.Parallel()
				options := &mcp.StreamableHTTPOptions{JSONResponse: inJSON, Stateless: era == Modern}
				listener := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, options))
				t.Cleanup(listener.Close)
				fleet, err := Connect(t.Context(), Config{Routes: []Route{{listener.URL, "echo"}}, Era: era, Connections: 4, Payload: 5000})
				if err != nil {
					t.Fatal(err)
				}
				if report := fleet.Run(t.Context(), Work{Calls: 100}); report.Calls != 100 {
					t.Errorf("%d right calls; %v", report.Calls, report.Examples)
				}
				fleet.Close(t.Context())
			})
		}
	}
}
