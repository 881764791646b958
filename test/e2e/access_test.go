package e2e

//lint:file-ignore SA1019 deprecated features must be carried for as long as peers use them

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
	mcpgo "github.com/mark3labs/mcp-go/client"
	mcpgotransport "github.com/mark3labs/mcp-go/client/transport"
	mcpgotypes "github.com/mark3labs/mcp-go/mcp"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/gateway"
)

// startLibrary runs a server of the Go SDK that has two of everything, one of them secret.
func startLibrary(t *testing.T, modern bool) string {
	t.Helper()
	server := gosdk.NewServer(&gosdk.Implementation{Name: "library", Version: "1"}, &gosdk.ServerOptions{
		SubscribeHandler:   func(context.Context, *gosdk.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *gosdk.UnsubscribeRequest) error { return nil },
		CompletionHandler: func(context.Context, *gosdk.CompleteRequest) (*gosdk.CompleteResult, error) {
			return &gosdk.CompleteResult{Completion: gosdk.CompletionResultDetails{Values: []string{"completed"}}}, nil
		},
	})
	for _, name := range []string{"open", "secret"} {
		server.AddTool(&gosdk.Tool{Name: name, InputSchema: map[string]any{"type": "object"}}, func(context.Context, *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
			return &gosdk.CallToolResult{Content: []gosdk.Content{&gosdk.TextContent{Text: "done"}}}, nil
		})
		server.AddPrompt(&gosdk.Prompt{Name: name, Arguments: []*gosdk.PromptArgument{{Name: "a"}}}, func(context.Context, *gosdk.GetPromptRequest) (*gosdk.GetPromptResult, error) {
			return &gosdk.GetPromptResult{Messages: []*gosdk.PromptMessage{}}, nil
		})
		read := func(_ context.Context, r *gosdk.ReadResourceRequest) (*gosdk.ReadResourceResult, error) {
			return &gosdk.ReadResourceResult{Contents: []*gosdk.ResourceContents{{URI: r.Params.URI, Text: "text"}}}, nil
		}
		server.AddResource(&gosdk.Resource{URI: "doc://" + name + "/1", Name: name}, read)
		server.AddResourceTemplate(&gosdk.ResourceTemplate{URITemplate: "page://" + name + "/{n}", Name: name}, read)
	}
	web := httptest.NewServer(gosdk.NewStreamableHTTPHandler(func(*http.Request) *gosdk.Server { return server }, &gosdk.StreamableHTTPOptions{Stateless: modern}))
	t.Cleanup(func() { web.CloseClientConnections(); web.Close() })
	return web.URL
}

// guarded runs a gateway with rules for three teams.
func guarded(t *testing.T, modern bool) (*gateway.Gateway, map[string]string) {
	t.Helper()
	section, key := bearers(
		bearer{id: "all", org: "acme", team: "ops"},
		bearer{id: "reader", org: "acme", team: "readers"},
		bearer{id: "tools", org: "acme", team: "ops", scopes: `"mcp:tools/*"`},
		bearer{id: "careful", org: "acme", team: "careful"})
	g := startGateway(t, section+"access:\n"+
		"  - who: {team: readers}\n"+
		"    deny: [\"*:lib__secret\", \"resources/*:doc://secret/*\", \"resources/*:page://secret/*\"]\n"+
		"  - {who: {team: careful}, deny: [\"tools/call:lib__*\"], when: 'args.text.size() > 5'}\n"+
		"upstreams:\n"+httpUpstream("lib", startLibrary(t, modern)))
	return g, key
}

// bearing adds a key to each request.
type bearing string

func (b bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// keySession connects a client of the Go SDK that has a key.
func keySession(t *testing.T, transport gosdk.Transport, revision string) *gosdk.ClientSession {
	t.Helper()
	s, err := gosdk.NewClient(&gosdk.Implementation{Name: "e2e", Version: "1"}, nil).Connect(t.Context(), transport, &gosdk.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// shown is what a client is shown, and usable what it may use of all there is.
func shown(t *testing.T, s *gosdk.ClientSession) (out []string) {
	t.Helper()
	tools, err := s.ListTools(t.Context(), nil)
	if err == nil {
		for _, e := range tools.Tools {
			out = append(out, "tool "+e.Name)
		}
	}
	if prompts, err := s.ListPrompts(t.Context(), nil); err == nil {
		for _, e := range prompts.Prompts {
			out = append(out, "prompt "+e.Name)
		}
	}
	if resources, err := s.ListResources(t.Context(), nil); err == nil {
		for _, e := range resources.Resources {
			out = append(out, "resource "+e.URI)
		}
	}
	if templates, err := s.ListResourceTemplates(t.Context(), nil); err == nil {
		for _, e := range templates.ResourceTemplates {
			out = append(out, "template "+e.URITemplate)
		}
	}
	slices.Sort(out)
	return out
}

func usable(t *testing.T, s *gosdk.ClientSession) (out []string) {
	t.Helper()
	for _, name := range []string{"open", "secret"} {
		if _, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: "lib__" + name}); err == nil {
			out = append(out, "tool lib__"+name)
		}
		_, err := s.GetPrompt(t.Context(), &gosdk.GetPromptParams{Name: "lib__" + name})
		_, completing := s.Complete(t.Context(), &gosdk.CompleteParams{Ref: &gosdk.CompleteReference{Type: "ref/prompt", Name: "lib__" + name}, Argument: gosdk.CompleteParamsArgument{Name: "a", Value: "c"}})
		if (err == nil) != (completing == nil) {
			t.Errorf("prompt %s: get %v, complete %v", name, err, completing)
		}
		if err == nil {
			out = append(out, "prompt lib__"+name)
		}
		if _, err := s.ReadResource(t.Context(), &gosdk.ReadResourceParams{URI: "doc://" + name + "/1"}); err == nil {
			out = append(out, "resource doc://"+name+"/1")
		}
		_, err = s.ReadResource(t.Context(), &gosdk.ReadResourceParams{URI: "page://" + name + "/1"})
		_, completing = s.Complete(t.Context(), &gosdk.CompleteParams{Ref: &gosdk.CompleteReference{Type: "ref/resource", URI: "page://" + name + "/{n}"}, Argument: gosdk.CompleteParamsArgument{Name: "n", Value: "1"}})
		if (err == nil) != (completing == nil) {
			t.Errorf("template %s: read %v, complete %v", name, err, completing)
		}
		if err == nil {
			out = append(out, "template page://"+name+"/{n}")
		}
	}
	slices.Sort(out)
	return out
}

// T7: what a client is shown is what it may use, over each transport and in both eras.
func TestT7_ListsAndCallsAgree(t *testing.T) {
	t.Parallel()
	all := []string{
		"prompt lib__open", "prompt lib__secret", "resource doc://open/1", "resource doc://secret/1",
		"template page://open/{n}", "template page://secret/{n}", "tool lib__open", "tool lib__secret",
	}
	want := map[string][]string{
		"all": all, "careful": all, "tools": {"tool lib__open", "tool lib__secret"},
		"reader": {"prompt lib__open", "resource doc://open/1", "template page://open/{n}", "tool lib__open"},
	}
	for _, modern := range []bool{false, true} {
		g, key := guarded(t, modern)
		for id, want := range want {
			web := &http.Client{Transport: bearing(key[id])}
			for name, connect := range map[string]func() *gosdk.ClientSession{
				"legacy": func() *gosdk.ClientSession {
					return keySession(t, &gosdk.StreamableClientTransport{Endpoint: endpoint(g, "/mcp"), HTTPClient: web}, "2025-11-25")
				},
				"modern": func() *gosdk.ClientSession {
					return keySession(t, &gosdk.StreamableClientTransport{Endpoint: endpoint(g, "/mcp"), HTTPClient: web}, "2026-07-28")
				},
				"HTTP+SSE": func() *gosdk.ClientSession {
					return keySession(t, &gosdk.SSEClientTransport{Endpoint: endpoint(g, "/sse"), HTTPClient: web}, "2024-11-05")
				},
			} {
				t.Run(fmt.Sprintf("%s of %s, modern server %v", name, id, modern), func(t *testing.T) {
					t.Parallel()
					s := connect()
					if diff := cmp.Diff(want, shown(t, s)); diff != "" {
						t.Errorf("what it is shown (-want +got):\n%s", diff)
					}
					if diff := cmp.Diff(want, usable(t, s)); diff != "" {
						t.Errorf("what it may use (-want +got):\n%s", diff)
					}
				})
			}
			t.Run("mcp-go of "+id, func(t *testing.T) { t.Parallel(); sameForMCPGo(t, g, key[id], want) })
		}
	}
}

func sameForMCPGo(t *testing.T, g *gateway.Gateway, key string, want []string) {
	t.Helper()
	c, err := mcpgo.NewStreamableHttpClient(endpoint(g, "/mcp"), mcpgotransport.WithHTTPHeaders(map[string]string{"Authorization": "Bearer " + key}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Initialize(t.Context(), mcpgotypes.InitializeRequest{Params: mcpgotypes.InitializeParams{ProtocolVersion: "2025-11-25"}}); err != nil {
		t.Fatal(err)
	}
	list, err := c.ListTools(t.Context(), mcpgotypes.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lib__open", "lib__secret"} {
		may := slices.Contains(want, "tool "+name)
		if listed := slices.ContainsFunc(list.Tools, func(e mcpgotypes.Tool) bool { return e.Name == name }); listed != may {
			t.Errorf("%s is listed: %v", name, listed)
		}
		var call mcpgotypes.CallToolRequest
		call.Params.Name = name
		if _, err := c.CallTool(t.Context(), call); (err == nil) != may || err != nil && !strings.Contains(err.Error(), "access rules do not allow") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A condition on arguments hides nothing, and decides about each call by itself: in
// batches and on connections that carry many messages too.
func TestConditionsDecideByTheArguments(t *testing.T) {
	t.Parallel()
	g, key := guarded(t, false)
	for _, c := range []keyholder{modernKey(t, g, key["careful"]), legacyKey(t, g, key["careful"])} {
		if res, answer := c.tool("lib__open", `{"text":"short"}`); res.StatusCode != http.StatusOK || answer.Error != nil {
			t.Errorf("%s: %s", res.Status, answer.text)
		}
		for arguments, status := range map[string]int{`{"text":"longer"}`: 403, `{"text":"short","text":"longer"}`: 400, `{"text":5}`: 403} {
			res, answer := c.tool("lib__open", arguments)
			if res.StatusCode != status && !(status == 400 && answer.Error != nil) || res.Header.Get("Content-Type") != "application/json" || answer.Error == nil || string(answer.ID) != "7" {
				t.Errorf("%s: %s: %s", arguments, res.Status, answer.text)
			}
		}
	}
	short, _ := keyholder{}.request(1, "lib__open", `{"text":"short"}`)
	long, _ := keyholder{}.request(2, "lib__open", `{"text":"longer"}`)
	r := &raw{t: t, url: endpoint(g, "/mcp"), key: key["careful"]}
	res, body := r.post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`, nil)
	session := res.Header.Get("Mcp-Session-Id")
	if session == "" {
		t.Fatal(body)
	}
	res, body = r.post("["+short+","+long+"]", map[string]string{"Mcp-Session-Id": session})
	for _, a := range batchAnswers(t, res, body) {
		if (a.Error == nil) != (string(a.ID) == "1") || a.Error != nil && a.reason() != "forbidden" {
			t.Errorf("in a batch: %s", a.text)
		}
	}
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(r.url, "http"), http.Header{"Authorization": {"Bearer " + r.key}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for arguments, reason := range map[string]string{`{"text":"short"}`: "", `{"text":"longer"}`: "forbidden"} {
		m, _ := keyholder{modern: true}.request(1, "lib__open", arguments)
		if err := conn.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			t.Fatal(err)
		}
		_, text, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if a := readRefusal(t, string(text)); a.reason() != reason {
			t.Errorf("over a WebSocket, %s: %s", arguments, text)
		}
	}
}

// Nobody hears of changes of what it may not read, nor learns that there is such a thing.
func TestWhatIsHiddenCannotBeSubscribedTo(t *testing.T) {
	t.Parallel()
	g, key := guarded(t, false)
	c := legacyKey(t, g, key["reader"])
	for uri, ok := range map[string]bool{"doc://open/1": true, "doc://secret/1": false} {
		res, body := c.post(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"`+uri+`"}}`, nil)
		if a := readRefusal(t, message(res, body)); (a.Error == nil) != ok {
			t.Errorf("subscribe to %s: %s: %s", uri, res.Status, body)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m := modernKey(t, g, key["reader"])
	res := m.open(ctx, `{"jsonrpc":"2.0","id":"listen","method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["doc://open/1","doc://secret/1"]},`+
		modernMeta+`}}`, modernHeaders("subscriptions/listen", ""))
	defer res.Body.Close()
	acknowledged := await(t, events(res), "notifications/subscriptions/acknowledged")
	if !strings.Contains(acknowledged, "doc://open/1") || strings.Contains(acknowledged, "doc://secret/1") {
		t.Errorf("a modern client hears of %s", acknowledged)
	}
}

// A client that lacks a scope is told which, before any stream begins.
func TestMissingScopesAreNamed(t *testing.T) {
	t.Parallel()
	g, key := guarded(t, false)
	c := legacyKey(t, g, key["tools"])
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"doc://open/1"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"prompts/list"}`,
	} {
		res, text := c.post(body, map[string]string{"Accept": "text/event-stream, application/json"})
		if res.StatusCode != http.StatusForbidden || res.Header.Get("Content-Type") != "application/json" || readRefusal(t, text).reason() != "forbidden" {
			t.Errorf("%s: %s %s: %s", body, res.Status, res.Header.Get("Content-Type"), text)
		}
	}
}
