package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// richForm has a default of each kind (SEP-1034) and each form of an enum (SEP-1330).
const richForm = `{"type":"object","properties":{
	"name":{"type":"string","description":"who","default":"John Doe"},
	"age":{"type":"integer","default":30},
	"score":{"type":"number","default":95.5},
	"verified":{"type":"boolean","default":true},
	"single":{"type":"string","enum":["a","b"],"default":"a"},
	"titled":{"type":"string","oneOf":[{"const":"v1","title":"First"},{"const":"v2","title":"Second"}]},
	"named":{"type":"string","enum":["o1","o2"],"enumNames":["One","Two"]},
	"many":{"type":"array","minItems":1,"maxItems":2,"items":{"type":"string","enum":["x","y"]}},
	"titledMany":{"type":"array","items":{"anyOf":[{"const":"v1","title":"First"},{"const":"v2","title":"Second"}]}}}}`

// TestAFormIsTheSameAcrossEras holds what the conformance suite asks of elicitation where it cannot be run: its
// server has these forms in legacy sessions only.
func TestAFormIsTheSameAcrossEras(t *testing.T) {
	t.Parallel()
	var want any
	if err := json.Unmarshal([]byte(richForm), &want); err != nil {
		t.Fatal(err)
	}
	form := func() *gosdk.ElicitParams {
		return &gosdk.ElicitParams{Message: "who?", RequestedSchema: json.RawMessage(richForm)}
	}
	asked := func(content any) *gosdk.CallToolResult {
		return &gosdk.CallToolResult{Content: []gosdk.Content{&gosdk.TextContent{Text: fmt.Sprint(content)}}}
	}
	byRequest := func(ctx context.Context, req *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
		answer, err := req.Session.Elicit(ctx, form())
		if err != nil {
			return nil, err
		}
		return asked(answer.Content["name"]), nil
	}
	byInput := func(_ context.Context, req *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
		answer, ok := req.Params.InputResponses["form"].(*gosdk.ElicitResult)
		if !ok {
			return &gosdk.CallToolResult{InputRequests: gosdk.InputRequestMap{"form": form()}}, nil
		}
		return asked(answer.Content["name"]), nil
	}
	for _, test := range []struct {
		client, era string
		tool        gosdk.ToolHandler
	}{
		{"2025-11-25", "modern", byInput},
		{"2026-07-28", "legacy", byRequest},
	} {
		t.Run(test.client+" to "+test.era, func(t *testing.T) {
			t.Parallel()
			server := gosdk.NewServer(&gosdk.Implementation{Name: "asker", Version: "1"}, nil)
			server.AddTool(&gosdk.Tool{Name: "ask", InputSchema: map[string]any{"type": "object"}}, test.tool)
			web := httptest.NewServer(gosdk.NewStreamableHTTPHandler(func(*http.Request) *gosdk.Server { return server },
				&gosdk.StreamableHTTPOptions{Stateless: test.era == "modern"}))
			t.Cleanup(web.Close)
			g := startGateway(t, fmt.Sprintf("upstreams:\n  up: {url: %q, era: %s}\n", web.URL, test.era))

			forms := make(chan any, 1)
			client := gosdk.NewClient(&gosdk.Implementation{Name: "e2e", Version: "1"}, &gosdk.ClientOptions{
				ElicitationHandler: func(_ context.Context, req *gosdk.ElicitRequest) (*gosdk.ElicitResult, error) {
					forms <- req.Params.RequestedSchema
					return &gosdk.ElicitResult{Action: "accept", Content: map[string]any{"name": "Ada"}}, nil
				},
			})
			s, err := client.Connect(t.Context(), &gosdk.StreamableClientTransport{Endpoint: endpoint(g, "/mcp/up")},
				&gosdk.ClientSessionOptions{ProtocolVersion: test.client})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			res, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: "ask"})
			if err != nil {
				t.Fatal(err)
			}
			select {
			case shown := <-forms:
				if diff := cmp.Diff(want, shown); diff != "" {
					t.Errorf("form (-sent +shown):\n%s", diff)
				}
			default:
				t.Error("the client was not asked")
			}
			if text := res.Content[0].(*gosdk.TextContent).Text; text != "Ada" {
				t.Errorf("the server was answered %q", text)
			}
		})
	}
}
