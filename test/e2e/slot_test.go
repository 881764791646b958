package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/gateway"
)

// hung makes a call that does not end, and returns once it runs.
func (c keyholder) hung(ctx context.Context) *http.Response {
	c.t.Helper()
	body, headers := c.request(1, "child__hang", `{}`)
	body = strings.Replace(body, `"arguments":{}`, `"arguments":{},"_meta":{"progressToken":1}`, 1)
	if c.modern {
		body = strings.Replace(body, `"_meta":{"progressToken":1},`, ``, 1)
		body = strings.Replace(body, `"_meta":{`, `"_meta":{"progressToken":1,`, 1)
	}
	res := c.open(ctx, body, headers)
	c.t.Cleanup(func() { _ = res.Body.Close() })
	for lines := bufio.NewReader(res.Body); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			c.t.Fatalf("no progress: %v", err)
		}
		if strings.Contains(line, "notifications/progress") {
			return res
		}
	}
}

// waitUntilFree makes calls until there is a slot.
func (c keyholder) waitUntilFree(what string) {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		_, answer := c.tool("child__pid", `{}`)
		switch {
		case answer.Error == nil:
			return
		case answer.reason() != "too_many_in_flight" || time.Now().After(deadline):
			c.t.Fatalf("%s: %s", what, answer.text)
		}
	}
}

// taken fails the test unless the only slot is taken.
func (c keyholder) taken(what string) {
	c.t.Helper()
	if res, answer := c.tool("child__pid", `{}`); answer.reason() != "too_many_in_flight" || res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "1" {
		c.t.Errorf("%s: %s %s", what, res.Status, answer.text)
	}
}

// A slot is taken as long as its call runs, and free when it has ended, however it did.
func TestSlotsAreFreeWhenCallsEnd(t *testing.T) {
	t.Parallel()
	section, key := bearers(bearer{id: "young"}, bearer{id: "old"}, bearer{id: "socket"})
	g := startGateway(t, section+"limits: [{name: slots, scope: key, unit: in_flight, tool: \"child__*\", limit: 1}]\nupstreams:\n"+stdioUpstream("child", stdioServer(t)))
	young, old := modernKey(t, g, key["young"]), legacyKey(t, g, key["old"])

	ctx, leave := context.WithCancel(t.Context())
	young.hung(ctx)
	young.taken("while a modern client's call runs")
	old.waitUntilFree("another key's slot")
	leave()
	young.waitUntilFree("a modern client left")

	ctx, leave = context.WithCancel(t.Context())
	old.hung(ctx)
	old.taken("while a legacy client's call runs")
	leave() // which is no cancel
	old.taken("after a legacy client lost its connection")
	old.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, nil)
	old.waitUntilFree("a legacy client cancelled")

	for _, c := range []keyholder{young, old} {
		_, answer := c.tool("child__pid", `{}`)
		var pid int
		if _, err := fmt.Sscan(regexp.MustCompile(`"text":"(\d+)"`).FindStringSubmatch(answer.text)[1], &pid); err != nil {
			t.Fatal(err)
		}
		c.hung(t.Context())
		c.taken("before the server dies")
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		c.waitUntilFree("the server died")
	}

	old.hung(t.Context())
	if res := attempt(t, http.MethodDelete, old.url, as(key["old"], map[string]string{"Mcp-Session-Id": old.session})); res.StatusCode != http.StatusNoContent {
		t.Error(res.Status)
	}
	legacyKey(t, g, key["old"]).waitUntilFree("the session was ended")
	overASocket(t, g, key["socket"])
}

// overASocket ends a call by ending the connection it was made on.
func overASocket(t *testing.T, g *gateway.Gateway, key string) {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(endpoint(g, "/mcp"), "http"), http.Header{"Authorization": {"Bearer " + key}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{
		`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"child__hang","arguments":{},"_meta":{"progressToken":1}}}`,
	} {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			t.Fatal(err)
		}
		if _, text, err := conn.ReadMessage(); err != nil || strings.Contains(string(text), `"error"`) {
			t.Fatalf("%s, %v", text, err)
		}
	}
	c := modernKey(t, g, key)
	c.taken("while a call over a WebSocket runs")
	_ = conn.Close()
	c.waitUntilFree("the WebSocket was closed")
}

// A call that is parked between two requests of its client keeps its slot, and its
// client does not pay again for going on.
func TestParkedCallsKeepTheirSlotAndPayOnce(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "limits:\n"+
		"  - {name: calls, scope: ip, unit: requests, tool: asker__greet, limit: 3, per: day}\n"+
		"  - {name: traffic, scope: ip, unit: bytes, tool: asker__greet, limit: 1000000, per: day}\n"+
		"  - {name: slots, scope: ip, unit: in_flight, tool: asker__greet, limit: 1}\n"+
		"upstreams:\n"+httpUpstream("asker", askingServer(t, false)))
	url := endpoint(g, "/mcp")
	s := askedClient(t, url, "2026-07-28", "ada")
	for range 2 { // each comes back three times
		got, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: "asker__greet"})
		if err != nil || !strings.Contains(jsonOf(t, got), "name=ada") {
			t.Fatalf("%s, %v", jsonOf(t, got), err)
		}
	}
	meta := strings.Replace(modernMeta, `"io.modelcontextprotocol/clientCapabilities":{}`, `"io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"roots":{},"sampling":{}}`, 1)
	r := &raw{t: t, url: url}
	ask := func(more string) (*http.Response, string) {
		res, body := r.post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"asker__greet","arguments":{},`+meta+more+`}}`, modernHeaders("tools/call", "asker__greet"))
		return res, message(res, body)
	}
	res, parked := ask("")
	state := regexp.MustCompile(`"requestState":("[^"]+")`).FindStringSubmatch(parked)
	if res.StatusCode != http.StatusOK || len(state) == 0 {
		t.Fatalf("%s: %s", res.Status, parked)
	}
	if _, text := ask(""); readRefusal(t, text).Error == nil {
		t.Errorf("a second call while one is parked: %s", text)
	}
	if _, text := ask(`,"requestState":"gw1.AAAA"`); readRefusal(t, text).reason() != "quota_exhausted" {
		t.Errorf("a call that claims to go on: %s", text)
	}
	// It has no budget and no slot left; going on needs neither.
	res, text := ask(`,"requestState":` + state[1] + `,"inputResponses":{"q1":{"action":"accept","content":{"name":"eve"}}}`)
	if res.StatusCode != http.StatusOK || !strings.Contains(text, "input_required") {
		t.Errorf("going on: %s: %s", res.Status, text)
	}
}
