package mcpserver

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// A server that ends a subscription on a connection of many messages says so by the
// result, by cancelling the request, or both (MCP 2026-07-28, Subscriptions;
// Cancellation). Each is an end, after which the gateway subscribes again, once.
func TestSubscriptionsThatServersTearDown(t *testing.T) {
	t.Parallel()
	result := func(id string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":` + id + `}}}`
	}
	cancelled := func(id string) string {
		return `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `}}`
	}
	for name, endings := range map[string][]func(id string) string{
		"result":      {result},
		"cancelled":   {cancelled},
		"both":        {result, cancelled},
		"other order": {cancelled, result},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listens := make(chan string, 8)
			s := newServer(t, socketServer(t, func(c *websocket.Conn, _ *http.Request) { subscriptionSocket(c, listens, endings) }))
			n := &told{}
			s.OnNotice(n.take)
			if _, err := s.Describe(t.Context()); err != nil {
				t.Fatal(err)
			}
			first, second := <-listens, <-listens
			if first == second {
				t.Errorf("the id %s is used again", first)
			}
			eventually(t, "catching up", func() bool { return n.has("tools/list_changed") })
			a := mustRun(t, s, newCall(t, modernClient(), modernToolCall("1", "x", `{}`)))
			if a.response.Err != nil {
				t.Errorf("a call: %s", textOf(a.response))
			}
			select {
			case third := <-listens:
				t.Errorf("subscribed a third time, as %s", third)
			default:
			}
		})
	}
}

// subscriptionSocket serves a modern client, and ends its first subscription.
func subscriptionSocket(c *websocket.Conn, listens chan<- string, endings []func(id string) string) {
	say := func(text string) { _ = c.WriteMessage(websocket.TextMessage, []byte(text)) }
	torn := false
	for {
		_, text, err := c.ReadMessage()
		if err != nil {
			return
		}
		m, err := rpc.Parse(text, rpc.Limits{})
		if err != nil || m.IsNotification() {
			continue
		}
		id := m.ID.Raw()
		switch m.Method {
		case mcp.Discover:
			say(`{"jsonrpc":"2.0","id":` + id + `,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}},"ttlMs":60000,"cacheScope":"public"}}`)
		case mcp.Listen:
			say(strings.Replace(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/subscriptionId":ID}}}`, "ID", id, 1))
			if !torn {
				torn = true
				for _, end := range endings {
					say(end(id))
				}
			}
			listens <- id
		default:
			say(`{"jsonrpc":"2.0","id":` + id + `,"result":{"resultType":"complete","content":[]}}`)
		}
	}
}
