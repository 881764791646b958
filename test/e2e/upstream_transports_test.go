package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/test/peer"
)

// echoes calls a tool of the merged endpoint as a client of each era and looks for what it echoes.
func echoes(t *testing.T, url, tool, arguments, want string) {
	t.Helper()
	for era, answer := range map[string]func() (*http.Response, string){
		"legacy": func() (*http.Response, string) {
			return legacy(t, url, "{}").post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`","arguments":`+arguments+`}}`, nil)
		},
		"modern": func() (*http.Response, string) {
			return (&raw{t: t, url: url}).post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`","arguments":`+arguments+`,`+modernMeta+`}}`,
				modernHeaders("tools/call", tool))
		},
	} {
		if res, body := answer(); !strings.Contains(message(res, body), want) {
			t.Errorf("%s client: %s: %s", era, res.Status, body)
		}
	}
}

// websocketd puts real servers, which speak over stdio only, behind WebSockets.
func TestUpstreamsBehindWebSocketd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		server                peer.Name
		tool, arguments, want string
	}{
		"legacy":    {peer.ServerEverything, "remote__echo", `{"message":"over a socket"}`, "over a socket"},
		"both eras": {peer.GoSDKEverything, "remote__greet", `{"name":"socket"}`, "socket"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, "upstreams:\n"+httpUpstream("remote", peer.ServeWebSocket(t, test.server).URL))
			if up := g.Upstreams(); up[0].State != "up" {
				t.Errorf("upstream %+v", up[0])
			}
			echoes(t, endpoint(g, "/mcp"), test.tool, test.arguments, test.want)
		})
	}
}

// Progress and cancellation go through websocketd too, and what comes after them.
func TestCallsBehindWebSocketdAreCancelled(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "upstreams:\n"+httpUpstream("remote", peer.ServeWebSocket(t, peer.ServerEverything).URL))
	r := legacy(t, endpoint(g, "/mcp"), "{}")
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	res := r.open(ctx, `{"jsonrpc":"2.0","id":"long","method":"tools/call","params":{"name":"remote__trigger-long-running-operation",`+
		`"arguments":{"duration":600,"steps":6000},"_meta":{"progressToken":1}}}`, nil)
	defer res.Body.Close()
	events := frame.NewSSEReader(res.Body, 1<<20)
	for {
		ev, err := events.Next()
		if err != nil {
			t.Fatalf("no progress: %v", err)
		}
		if strings.Contains(string(ev.Data), "notifications/progress") {
			break
		}
	}
	if res, body := r.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"long"}}`, nil); res.StatusCode != http.StatusAccepted {
		t.Fatalf("cancel: %s %s", res.Status, body)
	}
	for ended := false; !ended; {
		ev, err := events.Next()
		ended = err != nil || strings.Contains(string(ev.Data), `"id":"long"`)
	}
	if res, body := r.post(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"remote__echo","arguments":{"message":"still here"}}}`, nil); !strings.Contains(message(res, body), "still here") {
		t.Errorf("afterwards: %s", body)
	}
}

func TestUpstreamOverHTTPWithSSE(t *testing.T) {
	t.Parallel()
	server := peer.Serve(t, peer.ServerEverythingSSE)
	g := startGateway(t, fmt.Sprintf("upstreams:\n  old: {url: %q, transport: sse}\n", server.URL))
	echoes(t, endpoint(g, "/mcp"), "old__echo", `{"message":"over HTTP+SSE"}`, "over HTTP+SSE")
}

// The server closes the connection of a call and expects to be asked for the rest
// (SEP-1699).
func TestUpstreamThatIsPolled(t *testing.T) {
	t.Parallel()
	server := sdk.NewServer(&sdk.Implementation{Name: "polled", Version: "1"}, nil)
	sdk.AddTool(server, &sdk.Tool{Name: "slow"}, func(_ context.Context, r *sdk.CallToolRequest, _ struct{}) (*sdk.CallToolResult, any, error) {
		r.Extra.CloseSSEStream(sdk.CloseSSEStreamArgs{})
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "after the break"}}}, nil, nil
	})
	var resumed atomic.Bool
	handler := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return server }, &sdk.StreamableHTTPOptions{EventStore: sdk.NewMemoryEventStore(nil)})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.Header.Get("Last-Event-Id") != "" {
			resumed.Store(true)
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	t.Cleanup(web.CloseClientConnections)
	g := startGateway(t, "upstreams:\n"+httpUpstream("polled", web.URL))
	echoes(t, endpoint(g, "/mcp"), "polled__slow", `{}`, "after the break")
	if !resumed.Load() {
		t.Error("the server was not asked for the rest")
	}
}
