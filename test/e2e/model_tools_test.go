package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/test/fake"
	"github.com/headgate/headgate/test/fake/engine"
)

// engineModels writes the configuration of models that an engine serves.
func engineModels(url string, names ...string) string {
	var b strings.Builder
	b.WriteString("models:\n")
	for _, name := range names {
		fmt.Fprintf(&b, "  %q: {warm_up: {at: never}, backends: [{kind: openai, url: %q, model: sim}]}\n", name, url+"/v1")
	}
	return b.String()
}

// watched connects a go-sdk client that keeps what it is told of progress.
func watched(t *testing.T, url, revision string, header http.Header) (s *gosdk.ClientSession, progress func() []string) {
	t.Helper()
	var mu sync.Mutex
	var told []string
	c := gosdk.NewClient(&gosdk.Implementation{Name: "e2e", Version: "1"}, &gosdk.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, req *gosdk.ProgressNotificationClientRequest) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, req.Params.Message)
		},
	})
	s, err := c.Connect(t.Context(), &gosdk.StreamableClientTransport{
		Endpoint: url, HTTPClient: &http.Client{Transport: withHeader{header}}, DisableStandaloneSSE: true,
	}, &gosdk.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), told...)
	}
}

// withHeader adds header fields to requests.
type withHeader struct{ header http.Header }

func (w withHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	maps.Copy(r.Header, w.header)
	return http.DefaultTransport.RoundTrip(r)
}

// toolNames are the names of the tools that a client is shown.
func toolNames(t *testing.T, s *gosdk.ClientSession) (out []string) {
	t.Helper()
	list, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range list.Tools {
		out = append(out, tool.Name)
	}
	return out
}

// Clients of both eras see models as tools and read what they say, in parts where they want progress.
func TestModelsAreTools(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{})
	_, other := fakeUpstream(t, fake.Config{Name: "one", Tools: []fake.Tool{{Name: "echo", Behaviour: fake.Echo}}})
	g := startGateway(t, engineModels(e.URL, "sim", "odd/name:1", "small-*")+`endpoints:
  /mcp/models: {models: ["*", small-1b]}
  /mcp/both: {upstreams: [one], models: [sim], tools: {deny: ["one__e*"]}}
upstreams:
`+httpUpstream("one", other))
	for _, revision := range []string{"2024-11-05", "2025-11-25", "2026-07-28"} {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			s, progress := watched(t, endpoint(g, "/mcp/models"), revision, nil)
			names := toolNames(t, s)
			if len(names) != 3 || names[0] != "invoke_sim" || !strings.HasPrefix(names[1], "invoke_odd_name_1_") || names[2] != "invoke_small-1b" {
				t.Fatalf("tools %v", names)
			}
			for _, name := range names {
				params := &gosdk.CallToolParams{Name: name, Arguments: map[string]any{"prompt": "hello", "max_tokens": 5}}
				params.SetProgressToken("p")
				before := len(progress())
				res, err := s.CallTool(t.Context(), params)
				if err != nil || res.IsError {
					t.Fatalf("%s: %v %s", name, err, jsonOf(t, res))
				}
				said := res.Content[0].(*gosdk.TextContent).Text
				deadline := time.Now().Add(10 * time.Second) // they come by themselves, and may be handled later than the answer
				for strings.Join(progress()[before:], "") != said && time.Now().Before(deadline) {
					time.Sleep(time.Millisecond)
				}
				if got := strings.Join(progress()[before:], ""); got != said || said == "" {
					t.Errorf("%s: progress is %q, the answer %q", name, got, said)
				}
				if got := jsonOf(t, res); revision != "2024-11-05" && (!strings.Contains(got, `"output_tokens":5`) || !strings.Contains(got, `"finish_reason":"length"`)) {
					t.Errorf("%s: %s", name, got)
				}
			}
		})
	}
	t.Run("beside upstreams", func(t *testing.T) {
		t.Parallel()
		s, _ := watched(t, endpoint(g, "/mcp/both"), "2025-11-25", nil)
		if diff := cmp.Diff([]string{"invoke_sim"}, toolNames(t, s)); diff != "" {
			t.Errorf("tools (-want +got):\n%s", diff)
		}
		all, _ := watched(t, endpoint(g, "/mcp"), "2025-11-25", nil)
		if diff := cmp.Diff([]string{"one__echo"}, toolNames(t, all)); diff != "" {
			t.Errorf("an endpoint that names no models shows (-want +got):\n%s", diff)
		}
	})
}

// Who may not ask a model sees no tool for it, and what is asked is paid for once, by who asks.
func TestModelToolsAreJudgedAndPaidFor(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{})
	all, hash1 := auth.NewKey()
	tools, hash2 := auth.NewKey()
	whole, hash3 := auth.NewKey()
	g := startGateway(t, fmt.Sprintf(`auth:
  keys:
    - {id: all, hash: %q, org: acme, scopes: ["mcp:*", "infer:*"]}
    - {id: tools, hash: %q, org: acme, scopes: ["mcp:*"]}
    - {id: whole, hash: %q, org: other, scopes: ["mcp:*", "infer:invoke"]}
access: [{who: {org: acme}, deny: ["invoke:secret"]}]
limits: [{name: day, scope: key, unit: tokens, model: "*", limit: 600, per: day}]
`, hash1, hash2, hash3)+engineModels(e.URL, "sim", "secret")+"endpoints: {/mcp/models: {models: [\"*\"]}}\n")
	for key, want := range map[string][]string{all: {"invoke_sim"}, tools: nil, whole: {"invoke_sim", "invoke_secret"}} {
		s, progress := watched(t, endpoint(g, "/mcp/models"), "2026-07-28", http.Header{"Authorization": {"Bearer " + key}})
		if diff := cmp.Diff(want, toolNames(t, s)); diff != "" {
			t.Errorf("tools (-want +got):\n%s", diff)
		}
		for _, model := range []string{"secret", "sim"} {
			params := &gosdk.CallToolParams{Name: "invoke_" + model, Arguments: map[string]any{"prompt": "hello", "max_tokens": 40, "ignore_eos": true}}
			params.SetProgressToken("p")
			_, err := s.CallTool(t.Context(), params)
			if allowed := strings.Contains(strings.Join(want, " "), "invoke_"+model); (err == nil) != allowed {
				t.Errorf("invoke_%s: %v, allowed %v", model, err, allowed)
			}
		}
		if key == whole && len(progress()) > 0 {
			t.Errorf("who may not have answers in parts gets %v", progress())
		}
		if key != all {
			continue
		}
		params := &gosdk.CallToolParams{Name: "invoke_sim", Arguments: map[string]any{"prompt": "hello", "max_tokens": 600, "ignore_eos": true}}
		if _, err := s.CallTool(t.Context(), params); err == nil || !strings.Contains(err.Error(), "Too Many Requests") {
			t.Errorf("a call beyond the budget: %v", err)
		}
		params.Arguments = map[string]any{"prompt": "hello", "max_tokens": 40, "ignore_eos": true}
		if _, err := s.CallTool(t.Context(), params); err != nil {
			t.Errorf("a call within the budget: %v", err)
		}
	}
	var made int64
	for _, r := range e.Ledger() {
		made += r.Output
	}
	if made != 160 {
		t.Errorf("%d tokens were made, want 4 calls of 40", made)
	}
}

// A client that leaves, or cancels, ends the work of the model.
func TestModelToolsEndWithTheirCall(t *testing.T) {
	t.Parallel()
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			e := engine.Start(t, engine.Config{TokenRate: 20})
			g := startGateway(t, engineModels(e.URL, "sim")+"endpoints: {/mcp/models: {models: [sim]}}\n")
			s, progress := watched(t, endpoint(g, "/mcp/models"), revision, nil)
			ctx, cancel := context.WithCancel(t.Context())
			params := &gosdk.CallToolParams{Name: "invoke_sim", Arguments: map[string]any{"prompt": "hello", "max_tokens": 4000, "ignore_eos": true}}
			params.SetProgressToken("p")
			go func() {
				for len(progress()) == 0 && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
				cancel()
			}()
			if _, err := s.CallTool(ctx, params); err == nil {
				t.Fatal("a call that was cancelled has an answer")
			}
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
				if all := e.Ledger(); len(all) == 1 && all[0].Settled && all[0].Aborted {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("the engine goes on: %+v", e.Ledger())
				}
			}
		})
	}
}

// The settled budget of a caller is what status pages show; a tool's call is one call of its endpoint and one of the model.
func TestModelToolsAreSeen(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{})
	g := startGateway(t, engineModels(e.URL, "sim")+"endpoints: {/mcp/models: {models: [sim]}}\n")
	s, _ := watched(t, endpoint(g, "/mcp/models"), "2026-07-28", nil)
	if _, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: "invoke_sim", Arguments: map[string]any{"prompt": "hello"}}); err != nil {
		t.Fatal(err)
	}
	families := scrape(t, g)
	for series, want := range map[string]uint64{
		"gen_ai_client_inference_duration_seconds": 1, "headgate_inference_operation_duration_seconds": 1,
		"gen_ai_client_inference_time_to_first_chunk_seconds": 0, "mcp_client_operation_duration_seconds": 0,
	} {
		if got := total(families[series], nil); got != want {
			t.Errorf("%s counts %d, want %d", series, got, want)
		}
	}
	if got := total(families["mcp_server_operation_duration_seconds"], map[string]string{"gen_ai_tool_name": "invoke_sim"}); got != 1 {
		t.Errorf("%d calls of the tool are counted, want 1", got)
	}
	var recent struct {
		Items []struct{ Method, Target, Outcome string }
	}
	if err := json.NewDecoder(attempt(t, http.MethodGet, "http://"+g.AdminAddr()+"/api/v1/recent", nil).Body).Decode(&recent); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, c := range recent.Items {
		if c.Target != "" {
			seen = append(seen, c.Method+" "+c.Target+" "+c.Outcome)
		}
	}
	if got := strings.Join(seen, ", "); !strings.Contains(got, "tools/call invoke_sim ok") || !strings.Contains(got, "invoke sim ok") {
		t.Errorf("operators see %s", got)
	}
}
