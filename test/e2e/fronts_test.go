package e2e

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake"
)

// behindOneGateway is a gateway with an upstream of each era, named by it.
func behindOneGateway(t *testing.T, tool fake.Tool) *gateway.Gateway {
	t.Helper()
	_, old := fakeUpstream(t, fake.Config{Eras: fake.Legacy, Tools: []fake.Tool{tool}})
	_, recent := fakeUpstream(t, fake.Config{Eras: fake.Modern, Tools: []fake.Tool{tool}})
	return startGateway(t, "upstreams:\n"+httpUpstream("legacy", old)+httpUpstream("modern", recent))
}

var echo = fake.Tool{Name: "echo", Behaviour: fake.Echo}

// Each client comes over each transport it speaks, to a server of each era. Over
// Streamable HTTP all of them use all foreign servers elsewhere.
func TestEveryClientOverEveryTransport(t *testing.T) {
	t.Parallel()
	g := behindOneGateway(t, echo)
	places := []place{
		{over: older, url: endpoint(g, "/sse")},
		{over: pipes, program: []string{headgate(t), "stdio", "--url", endpoint(g, "/mcp")}},
	}
	for _, c := range clients {
		for _, to := range places {
			if !slices.Contains(c.over, to.over) {
				continue
			}
			t.Run(c.name+" over "+string(to.over), func(t *testing.T) {
				t.Parallel()
				names := c.list(t, to)
				for _, tool := range []string{"legacy__echo", "modern__echo"} {
					if !slices.Contains(names, tool) {
						t.Errorf("lists %q without %s", names, tool)
					}
					if got := c.call(t, to, tool, map[string]string{"text": "heard " + tool}); !strings.Contains(got, "heard "+tool) {
						t.Errorf("%s: got %.500s", tool, got)
					}
				}
			})
		}
	}
}

// useGoSDK calls a tool of each era's server over a transport.
func useGoSDK(t *testing.T, transport gosdk.Transport, revision string) {
	t.Helper()
	c := gosdk.NewClient(&gosdk.Implementation{Name: "e2e", Version: "1"}, nil)
	s, err := c.Connect(t.Context(), transport, &gosdk.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer s.Close() //nolint:errcheck // the pipe may be closed by the other side
	for _, tool := range []string{"legacy__echo", "modern__echo"} {
		res, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: tool, Arguments: map[string]string{"text": "hello"}})
		if err != nil || res.IsError {
			t.Errorf("call %s: %v %v", tool, res, err)
		}
	}
}

func TestForeignClientOverPipes(t *testing.T) {
	t.Parallel()
	g := behindOneGateway(t, echo)
	for _, revision := range []string{"2024-11-05", "2025-11-25", "2026-07-28"} {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			inside, out := io.Pipe()
			in, outside := io.Pipe()
			served := make(chan error, 1)
			go func() {
				err := g.ServeStdio(t.Context(), "/mcp", inside, outside)
				served <- errors.Join(err, outside.Close())
			}()
			useGoSDK(t, &gosdk.IOTransport{Reader: in, Writer: out}, revision)
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAWebSocketClientCancels(t *testing.T) {
	t.Parallel()
	tool, arrived, cancelled := hanging()
	g := behindOneGateway(t, tool)
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(endpoint(g, "/mcp"), "http"), nil)
	if err != nil {
		t.Fatalf("dial: %v (%v)", err, resp)
	}
	defer resp.Body.Close()
	defer conn.Close() //nolint:errcheck // nothing is left to be told
	say := func(text string) {
		t.Helper()
		if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(what string) {
		t.Helper()
		if _, text, err := conn.ReadMessage(); err != nil || !strings.Contains(string(text), what) {
			t.Fatalf("heard %s (%v), want %s", text, err, what)
		}
	}
	say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
	hear(`"id":1`)
	say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	for i, upstream := range []string{"legacy", "modern"} {
		first, second := strconv.Itoa(2*i+2), strconv.Itoa(2*i+3) // a session uses an id once (MCP 2025-11-25, Requests)
		say(`{"jsonrpc":"2.0","id":` + first + `,"method":"tools/call","params":{"name":"` + upstream + `__` + tool.Name + `"}}`)
		<-arrived
		say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + first + `}}`)
		<-cancelled
		say(`{"jsonrpc":"2.0","id":` + second + `,"method":"tools/call","params":{"name":"` + upstream + `__` + tool.Name + `","_meta":` + strings.TrimPrefix(modernMeta, `"_meta":`) + `}}`)
		<-arrived
		say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + second + `}}`)
		<-cancelled
	}
	say(`{"jsonrpc":"2.0","id":9,"method":"ping"}`)
	hear(`"id":9`)
}

func TestCorner5_32_WebSocketsOfOtherPagesAreRefused(t *testing.T) {
	t.Parallel()
	g := behindOneGateway(t, echo)
	address := "ws" + strings.TrimPrefix(endpoint(g, "/mcp"), "http")
	_, resp, err := websocket.DefaultDialer.DialContext(context.WithoutCancel(t.Context()), address, http.Header{"Origin": {"https://evil.example"}})
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("%v (%v), want 403", resp, err)
	}
}
