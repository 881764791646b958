package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"
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

// webSockets puts a command behind WebSockets: a process for each, a line for each frame.
func webSockets(t *testing.T, argv []string) (url string) {
	t.Helper()
	var up websocket.Upgrader
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		cmd := exec.CommandContext(r.Context(), argv[0], argv[1:]...)
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Error(err)
			return
		}
		go func() {
			defer in.Close()
			for {
				_, text, err := c.ReadMessage()
				if err != nil {
					return
				}
				_, _ = in.Write(append(text, '\n'))
			}
		}()
		lines := frame.NewLineReader(out, 1<<20)
		for line, err := lines.Next(); err == nil; line, err = lines.Next() {
			_ = c.WriteMessage(websocket.TextMessage, line)
		}
		_ = cmd.Wait()
	}))
	t.Cleanup(web.Close)
	return strings.Replace(web.URL, "http:", "ws:", 1)
}

func TestUpstreamsBehindWebSockets(t *testing.T) {
	t.Parallel()
	for name, argv := range map[string][]string{
		"legacy": peer.Command(t, peer.ServerEverything),
		"both":   peer.Command(t, peer.GoSDKEverything),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, "upstreams:\n"+httpUpstream("remote", webSockets(t, argv)))
			tool, arguments, want := "remote__echo", `{"message":"over a socket"}`, "over a socket"
			if name == "both" {
				tool, arguments, want = "remote__greet", `{"name":"socket"}`, "socket"
			}
			echoes(t, endpoint(g, "/mcp"), tool, arguments, want)
		})
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
