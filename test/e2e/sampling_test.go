package e2e

//lint:file-ignore SA1019 deprecated features must be carried for as long as peers use them

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/test/fake/engine"
	"github.com/headgate/headgate/test/peer"
)

// A server that offers its tool only to clients that sample is served by a model of the gateway's, for clients of both eras.
func TestSamplingOfAForeignServer(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{Record: true})
	command := stdioUpstream("everything", peer.Command(t, peer.ServerEverything))
	g := startGateway(t, engineModels(e.URL, "sim")+"upstreams:\n"+
		strings.Replace(command, "}\n", ", sampling: {model: sim, max_tokens: 9}}\n", 1)+strings.Replace(command, "everything", "plain", 1))
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		s, _ := watched(t, endpoint(g, "/mcp"), revision, nil)
		names := toolNames(t, s)
		if !slices.Contains(names, "everything__trigger-sampling-request") || slices.Contains(names, "plain__trigger-sampling-request") {
			t.Errorf("%s: tools %v", revision, names)
		}
		res, err := s.CallTool(t.Context(), &gosdk.CallToolParams{
			Name: "everything__trigger-sampling-request", Arguments: map[string]any{"prompt": "are you there?", "maxTokens": 50},
		})
		if err != nil || res.IsError || !strings.Contains(jsonOf(t, res), "maxTokens") || !strings.Contains(jsonOf(t, res), `\"model\": \"sim\"`) {
			t.Errorf("%s: %v %s", revision, err, jsonOf(t, res))
		}
	}
	for _, r := range e.Ledger() {
		var asked struct {
			Messages  []struct{ Role, Content string }
			MaxTokens int `json:"max_tokens"`
		}
		if err := json.Unmarshal(r.Body, &asked); err != nil || len(asked.Messages) != 2 || asked.MaxTokens != 9 || r.Output != 9 ||
			asked.Messages[0].Role != "system" || !strings.Contains(asked.Messages[1].Content, "are you there?") {
			t.Errorf("the model was asked %s and made %d tokens: %v", r.Body, r.Output, err)
		}
	}
}

// samplingServer is a server of the legacy era whose tool asks for a model what a test wants, and returns what it is told.
func samplingServer(t *testing.T, ask func(context.Context, *gosdk.ServerSession) string) string {
	t.Helper()
	server := gosdk.NewServer(&gosdk.Implementation{Name: "sampler", Version: "1"}, nil)
	server.AddTool(&gosdk.Tool{Name: "ask", InputSchema: map[string]any{"type": "object"}}, func(ctx context.Context, req *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
		return &gosdk.CallToolResult{Content: []gosdk.Content{&gosdk.TextContent{Text: ask(ctx, req.Session)}}}, nil
	})
	s := httptest.NewServer(gosdk.NewStreamableHTTPHandler(func(*http.Request) *gosdk.Server { return server }, nil))
	t.Cleanup(s.Close)
	return s.URL
}

// What a model says to a server is judged and paid for by who makes the call; a client that samples itself is asked.
func TestSamplingIsPaidForByWhoCalls(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{})
	url := samplingServer(t, func(ctx context.Context, s *gosdk.ServerSession) string {
		params := samplingParams
		sample, err := s.CreateMessage(ctx, &params)
		if err != nil {
			return "refused: " + err.Error()
		}
		return "said by " + sample.Model
	})
	in, hash1 := auth.NewKey()
	out, hash2 := auth.NewKey()
	upstreams := fmt.Sprintf("upstreams:\n  up: {url: %q, era: legacy, sampling: {model: sim, hints: [c*]}}\n  dear: {url: %q, era: legacy, sampling: {model: costly}}\n", url, url)
	g := startGateway(t, fmt.Sprintf(`auth:
  keys:
    - {id: in, hash: %q, org: acme, scopes: ["mcp:*", "infer:*"]}
    - {id: out, hash: %q, org: acme, scopes: ["mcp:*"]}
limits: [{name: none, scope: key, unit: tokens, model: costly, limit: 1, per: day}]
`, hash1, hash2)+engineModels(e.URL, "sim", "costly")+upstreams)
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		for _, test := range []struct{ key, tool, want string }{
			{in, "up__ask", "said by sim"}, {in, "dear__ask", "limit"}, {out, "up__ask", "scope"},
		} {
			s, _ := watched(t, endpoint(g, "/mcp"), revision, http.Header{"Authorization": {"Bearer " + test.key}})
			res, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: test.tool})
			if err != nil || !strings.Contains(jsonOf(t, res), test.want) {
				t.Errorf("%s, %s: %v %s, want %q", revision, test.tool, err, jsonOf(t, res), test.want)
			}
		}
	}
	open := startGateway(t, engineModels(e.URL, "sim", "costly")+upstreams)
	s := askedClient(t, endpoint(open, "/mcp"), "2025-11-25", "ada")
	if res, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: "up__ask"}); err != nil || !strings.Contains(jsonOf(t, res), "said by m") {
		t.Errorf("a client that samples: %v %s", err, jsonOf(t, res))
	}
	if n := len(e.Ledger()); n != 2 {
		t.Errorf("the model was asked %d times, want 2", n)
	}
}
