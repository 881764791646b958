package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// twin is a server of the official SDK that says which one it is, and that can vanish.
type twin struct {
	name, url string
	web       *httptest.Server
}

func startTwin(t *testing.T, name string, stateless bool) *twin {
	t.Helper()
	s := gosdk.NewServer(&gosdk.Implementation{Name: "replica", Version: "1"}, nil)
	gosdk.AddTool(s, &gosdk.Tool{Name: "who"}, func(context.Context, *gosdk.CallToolRequest, struct{}) (*gosdk.CallToolResult, any, error) {
		return &gosdk.CallToolResult{Content: []gosdk.Content{&gosdk.TextContent{Text: name}}}, nil, nil
	})
	gosdk.AddTool(s, &gosdk.Tool{Name: "ask"}, func(ctx context.Context, r *gosdk.CallToolRequest, _ struct{}) (*gosdk.CallToolResult, any, error) {
		a, err := r.Session.Elicit(ctx, &gosdk.ElicitParams{Message: "Is this " + name + "?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}}})
		if err != nil {
			return nil, nil, err
		}
		return &gosdk.CallToolResult{Content: []gosdk.Content{&gosdk.TextContent{Text: a.Action + " " + name}}}, nil, nil
	})
	h := gosdk.NewStreamableHTTPHandler(func(*http.Request) *gosdk.Server { return s }, &gosdk.StreamableHTTPOptions{Stateless: stateless})
	r := &twin{name: name, web: httptest.NewServer(h)}
	r.url = r.web.URL
	t.Cleanup(r.vanish)
	return r
}

// vanish closes all connections and takes no more.
func (r *twin) vanish() {
	_ = r.web.Listener.Close()
	r.web.CloseClientConnections()
}

// pooled writes the configuration of an upstream with backends.
func pooled(replicas ...*twin) string {
	var all []string
	for _, r := range replicas {
		all = append(all, fmt.Sprintf("{url: %q}", r.url))
	}
	return "upstreams:\n  many: {backends: [" + strings.Join(all, ", ") + "], slow_start: 0s}\n"
}

// inquirer is a client of the official SDK that can be asked.
func inquirer(t *testing.T, url, revision string) *gosdk.ClientSession {
	t.Helper()
	c := gosdk.NewClient(&gosdk.Implementation{Name: "e2e", Version: "1"}, &gosdk.ClientOptions{
		ElicitationHandler: func(context.Context, *gosdk.ElicitRequest) (*gosdk.ElicitResult, error) {
			return &gosdk.ElicitResult{Action: "accept", Content: map[string]any{}}, nil
		},
	})
	s, err := c.Connect(t.Context(), &gosdk.StreamableClientTransport{Endpoint: url}, &gosdk.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func says(t *testing.T, s *gosdk.ClientSession, tool string) string {
	t.Helper()
	res, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: tool, Arguments: map[string]any{}})
	if err != nil || res.IsError || len(res.Content) != 1 {
		t.Fatalf("%s: %+v %v", tool, res, err)
	}
	return res.Content[0].(*gosdk.TextContent).Text
}

// Clients of both eras are served by all backends of an upstream of either era, are asked by the one that serves them, and by another one
// within a second when theirs has vanished.
func TestBackendsServeClientsAndVanish(t *testing.T) {
	t.Parallel()
	for _, stateless := range []bool{false, true} {
		for _, revision := range []string{"2025-11-25", "2026-07-28"} {
			t.Run(fmt.Sprintf("stateless %t for %s", stateless, revision), func(t *testing.T) {
				t.Parallel()
				a, b := startTwin(t, "a", stateless), startTwin(t, "b", stateless)
				g := startGateway(t, pooled(a, b))
				seen := map[string]*gosdk.ClientSession{}
				for range 30 {
					s := inquirer(t, endpoint(g, "/mcp/many"), revision)
					seen[says(t, s, "who")] = s
					if len(seen) == 2 {
						break
					}
				}
				if len(seen) != 2 {
					t.Fatalf("served by %d of 2", len(seen))
				}
				if !stateless { // a stateless server of this SDK cannot ask
					for _, s := range seen {
						if got := says(t, s, "ask"); !strings.HasPrefix(got, "accept ") {
							t.Errorf("asked: %s", got)
						}
					}
				}
				a.vanish()
				for _, s := range seen {
					began := time.Now()
					if got := says(t, s, "who"); got != "b" {
						t.Errorf("served by %s", got)
					}
					t.Logf("served after %v", time.Since(began))
				}
				if up := g.Upstreams()[0]; up.State != "up" {
					t.Errorf("%+v", up)
				}
			})
		}
	}
}

// A reload takes one backend out and puts another in: sessions at the one that stays stay, and those of the other go on.
func TestReload_BackendsComeAndGo(t *testing.T) {
	t.Parallel()
	a, b, c := startTwin(t, "a", false), startTwin(t, "b", false), startTwin(t, "c", false)
	g := startReloadable(t, pooled(a, b))
	at := map[string]*gosdk.ClientSession{}
	for range 30 {
		s := inquirer(t, endpoint(g.Gateway, "/mcp/many"), "2025-11-25")
		at[says(t, s, "who")] = s
	}
	if len(at) != 2 {
		t.Fatalf("served by %d of 2", len(at))
	}
	if out := g.reload(pooled(b, c)); len(out.Renewed)+len(out.Added)+len(out.Removed) != 0 || len(out.Changes) == 0 {
		t.Errorf("%+v", out)
	}
	for range 3 {
		if got := says(t, at["b"], "who"); got != "b" {
			t.Errorf("a session at a backend that stays is at %s now", got)
		}
	}
	if got := says(t, at["a"], "who"); got == "a" {
		t.Error("a backend that has left is still called")
	}
	seen := map[string]bool{}
	for range 40 {
		seen[says(t, inquirer(t, endpoint(g.Gateway, "/mcp/many"), "2025-11-25"), "who")] = true
	}
	if seen["a"] || !seen["b"] || !seen["c"] {
		t.Errorf("served by %v", seen)
	}
}
