package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake"
)

// shelf is a server of the Go SDK that counts what it is asked, and says so in its answers.
type shelf struct {
	*gosdk.Server
	asked atomic.Int64
}

func startShelf(t *testing.T, modern bool, scope string) (*shelf, string) {
	t.Helper()
	s := &shelf{}
	s.Server = gosdk.NewServer(&gosdk.Implementation{Name: "shelf", Version: "1"}, &gosdk.ServerOptions{
		SubscribeHandler:   func(context.Context, *gosdk.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *gosdk.UnsubscribeRequest) error { return nil },
	})
	s.AddResource(&gosdk.Resource{URI: note, Name: "note"}, func(context.Context, *gosdk.ReadResourceRequest) (*gosdk.ReadResourceResult, error) {
		return &gosdk.ReadResourceResult{ // legacy servers of this SDK send the hints too
			Contents:  []*gosdk.ResourceContents{{URI: note, Text: fmt.Sprintf("answer %d", s.asked.Add(1))}},
			Cacheable: gosdk.Cacheable{TTLMs: 600_000, CacheScope: scope},
		}, nil
	})
	for _, name := range []string{"find", "change"} {
		tool := &gosdk.Tool{Name: name, InputSchema: map[string]any{"type": "object"}, Annotations: &gosdk.ToolAnnotations{ReadOnlyHint: name == "find", IdempotentHint: name == "find"}}
		s.AddTool(tool, func(context.Context, *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
			return &gosdk.CallToolResult{Content: []gosdk.Content{&gosdk.TextContent{Text: fmt.Sprintf("answer %d", s.asked.Add(1))}}}, nil
		})
	}
	web := httptest.NewServer(gosdk.NewStreamableHTTPHandler(func(*http.Request) *gosdk.Server { return s.Server }, &gosdk.StreamableHTTPOptions{Stateless: modern}))
	t.Cleanup(func() { web.CloseClientConnections(); web.Close() })
	return s, web.URL
}

const caching = "cache: {max_size: 16MiB, lists: {ttl: 10m}, tools: {allow: [\"shelf__*\"], ttl: 10m}, share_public: true}\n"

// read asks for the resource as often as said, and returns the last answer.
func (c keyholder) read(times int) string {
	c.t.Helper()
	body, headers := `{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"`+note+`"}}`, map[string]string(nil)
	if c.modern {
		body, headers = strings.Replace(body, `"uri"`, modernMeta+`,"uri"`, 1), modernHeaders("resources/read", note)
	}
	var answer struct {
		Result struct{ Contents []struct{ Text string } }
	}
	for range times {
		res, text := c.post(body, headers)
		if err := json.Unmarshal([]byte(message(res, text)), &answer); err != nil || len(answer.Result.Contents) != 1 {
			c.t.Fatalf("%s: %s", res.Status, text)
		}
	}
	return answer.Result.Contents[0].Text
}

// Clients of both eras read from the cache what servers of both eras let be kept: each
// for itself, or all together where the server calls it public.
func TestReadsFromTheCacheInAllPairings(t *testing.T) {
	t.Parallel()
	for _, modern := range []bool{true, false} {
		for _, scope := range []string{"private", "public"} {
			server, url := startShelf(t, modern, scope)
			section, key := bearers(bearer{id: "eve", org: "acme"}, bearer{id: "bob", org: "acme"})
			g := startGateway(t, section+caching+"limits: [{name: day, scope: key, unit: requests, method: resources/read, limit: 2, per: day}]\nupstreams:\n"+httpUpstream("shelf", url))
			asked := int64(0)
			for era, connect := range []func(testing.TB, *gateway.Gateway, string) keyholder{legacyKey, modernKey} { // results differ by the revision
				for i, id := range []string{"eve", "bob"} {
					if i == 0 || scope == "private" || !modern || era == 0 { // nothing is public in the legacy era, which a legacy client is served in
						asked++
					}
					want := fmt.Sprintf("answer %d", asked)
					if got := connect(t, g, key[id]).read(5); got != want || server.asked.Load() != asked { // of which a budget of two is paid once
						t.Errorf("modern %v, %s, %s: %s, want %s; asked %d times", modern, scope, id, got, want, server.asked.Load())
					}
				}
			}
		}
	}
}

// What was kept is forgotten when its server says that it changed.
func TestCachedAnswersAreForgottenWhenTheyChange(t *testing.T) {
	t.Parallel()
	for _, modern := range []bool{true, false} {
		server, url := startShelf(t, modern, "private")
		g := startGateway(t, caching+"upstreams:\n"+httpUpstream("shelf", url))
		s, c := goSDKSession(t, overHTTP(endpoint(g, "/mcp")), "2026-07-28"), modernKey(t, g, "")
		find := func() string {
			t.Helper()
			got, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: "shelf__find", Arguments: map[string]any{"q": 1}})
			if err != nil {
				t.Fatal(err)
			}
			return got.Content[0].(*gosdk.TextContent).Text
		}
		if got := c.read(3) + ", " + find() + ", " + find(); got != "answer 1, answer 2, answer 2" {
			t.Errorf("at first: %s", got)
		}
		for i := range 2 {
			got, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: "shelf__change"})
			if want := fmt.Sprintf("answer %d", 3+i); err != nil || got.Content[0].(*gosdk.TextContent).Text != want {
				t.Errorf("a tool that changes something was not called: %s, want %s, %v", jsonOf(t, got), want, err)
			}
		}
		heard := listening(t, endpoint(g, "/mcp"), `{"resourceSubscriptions":["`+note+`"],"toolsListChanged":true}`)
		if got := await(t, heard, "acknowledged"); !strings.Contains(got, note) {
			t.Fatal(got)
		}
		if err := server.ResourceUpdated(t.Context(), &gosdk.ResourceUpdatedNotificationParams{URI: note}); err != nil {
			t.Fatal(err)
		}
		await(t, heard, "resources/updated")
		if got := c.read(2) + ", " + find(); got != "answer 5, answer 2" {
			t.Errorf("after the resource changed: %s", got)
		}
		server.AddTool(&gosdk.Tool{Name: "new", InputSchema: map[string]any{"type": "object"}}, func(context.Context, *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
			return &gosdk.CallToolResult{}, nil
		})
		await(t, heard, "tools/list_changed")
		if got := find() + ", " + c.read(2); got != "answer 6, answer 7" {
			t.Errorf("after the tools changed: %s", got)
		}
	}
}

// The lists of servers that do not say how long they hold are kept as long as the
// configuration says: of all legacy ones, whatever their answers look like.
func TestListsOfLegacyServersAreKept(t *testing.T) {
	t.Parallel()
	_, plain := fakeUpstream(t, fake.Config{Eras: fake.Legacy})
	for section, about := range map[string]int{"": 30_000, caching: 600_000} {
		g := startGateway(t, section+"upstreams:\n"+httpUpstream("plain", plain)+fmt.Sprintf("  sdk: {url: %q, era: legacy}\n", startLibrary(t, false)))
		for _, path := range []string{"/mcp/plain", "/mcp/sdk", "/mcp"} {
			body, headers := modernList()
			res, text := (&raw{t: t, url: endpoint(g, path)}).post(body, headers)
			var answer struct{ Result struct{ TTLMs int } }
			if err := json.Unmarshal([]byte(message(res, text)), &answer); err != nil || answer.Result.TTLMs > about || answer.Result.TTLMs < about/2 {
				t.Errorf("%s: %v: %s; want about %d ms", path, err, text, about)
			}
		}
	}
}
