package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake"
)

// Each message has one span, which ends with its reply, whatever carries it.
func TestTracesOfAllFronts(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	_, url := fakeUpstream(t, fake.Config{})
	g := startGateway(t, tracedTo(c, "")+"upstreams:\n"+httpUpstream("up", url))
	call := func(id, more string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"tools/call","params":{"name":"up__echo"%s}}`, id, more)
	}
	overWebSocket(t, g, call("socket", ","+modernMeta))
	overPipes(t, g, call("pipes", ","+modernMeta))
	r := &raw{t: t, url: endpoint(g, "/mcp")}
	res, body := r.post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`, nil)
	if res.Header.Get("Mcp-Session-Id") == "" {
		t.Fatal(body)
	}
	r.post("["+call("first", "")+","+call("second", "")+"]", map[string]string{"Mcp-Session-Id": res.Header.Get("Mcp-Session-Id")})
	listenAndLeave(t, r)

	spans := c.wait(t, func(spans []*tracepb.Span) bool {
		return count(spans, asked, "tools/call up__echo") >= 4 && count(spans, asks, "tools/call echo") >= 4 && count(spans, asked, "subscriptions/listen") >= 1
	})
	got := map[string]string{}
	for _, s := range spans {
		of := map[string]string{}
		for _, a := range s.GetAttributes() {
			of[a.GetKey()] = a.GetValue().GetStringValue()
		}
		if id := of["jsonrpc.request.id"]; id != "" {
			got[id] += strings.TrimSpace(s.GetName() + " " + of["network.transport"] + " " + of["network.protocol.name"] + " " + of["headgate.outcome"])
		}
	}
	want := map[string]string{
		"0": "initialize tcp http ok", "socket": "tools/call up__echo tcp http ok", "pipes": "tools/call up__echo pipe  ok",
		"first": "tools/call up__echo tcp http ok", "second": "tools/call up__echo tcp http ok", "listen": "subscriptions/listen tcp http cancelled",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spans by request (-want +got):\n%s", diff)
	}
}

func overWebSocket(t *testing.T, g *gateway.Gateway, message string) {
	t.Helper()
	conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(endpoint(g, "/mcp"), "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	defer conn.Close()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.ReadMessage(); err != nil {
		t.Fatal(err)
	}
}

func overPipes(t *testing.T, g *gateway.Gateway, message string) {
	t.Helper()
	in, toGateway := io.Pipe()
	fromGateway, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- g.ServeStdio(t.Context(), "/mcp", in, out) }()
	if _, err := io.WriteString(toGateway, message+"\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(fromGateway).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	_ = toGateway.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// listenAndLeave opens a modern client's stream of changes, and closes it.
func listenAndLeave(t *testing.T, r *raw) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	res := r.open(ctx, `{"jsonrpc":"2.0","id":"listen","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},`+modernMeta+`}}`,
		modernHeaders("subscriptions/listen", ""))
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("listen: %s", res.Status)
	}
	if _, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}
