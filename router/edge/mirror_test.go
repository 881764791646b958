package edge_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/headgate/headgate/rpc"
)

// Headers that mirror the body must say the same as the body (SEP-2243). What they
// say decides nothing, so each difference is refused before anybody is asked.
func TestCorner5_15_HeadersThatContradictTheBodyAreRefused(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	g := open(t, setup{handle: func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		reached.Add(1)
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{}`))), nil
	}})
	encode := func(s string) string { return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(s)) + "?=" }
	cases := 0
	for _, call := range []struct{ method, member, subject string }{
		{"tools/call", "name", "crm__find"},
		{"tools/call", "name", "søk"},
		{"tools/call", "name", " lead"},
		{"tools/call", "name", ""},
		{"tools/call", "name", "=?base64?Y3Jt?="},
		{"prompts/get", "name", "greet"},
		{"resources/read", "uri", "file:///a b"},
		{"tasks/get", "taskId", "t-1"},
	} {
		body, header := modern("7", call.method, `"`+call.member+`":"`+call.subject+`"`)
		base := []string{header[0], header[1], header[2], header[3]}
		wrong := [][]string{
			{"Mcp-Method", "-"},
			{"Mcp-Method", strings.ToUpper(call.method)},
			{"Mcp-Method", "tools/list"},
			{"Mcp-Method", encode(call.method)},
			{"Mcp-Method", ""},
			{"+Mcp-Method", call.method},
			{"+Mcp-Method", "tools/list"},
			{"Mcp-Protocol-Version", "-"},
			{"Mcp-Protocol-Version", "2025-11-25"},
			{"Mcp-Protocol-Version", modernRevision + "x"},
			{"+Mcp-Protocol-Version", modernRevision},
		}
		right := encode(call.subject)
		for _, name := range []string{
			encode(call.subject + "x"), encode("x" + call.subject), encode(strings.ToUpper(call.subject) + "!"),
			encode(call.subject + "\x00"), encode(" " + call.subject), right[:len(right)-3] + "?=",
			"=?BASE64?" + right[len("=?base64?"):], "=?base64?!!!!?=", "=?base64?" + right + "?=", call.subject + "?", "x",
			right + "x", "=?base64?" + base64.StdEncoding.EncodeToString([]byte{0xff, 0xfe}) + "?=",
		} {
			wrong = append(wrong, []string{"Mcp-Name", name})
		}
		wrong = append(wrong, []string{"Mcp-Name", "-"}, []string{"Mcp-Name", right, "+Mcp-Name", right})
		for _, change := range wrong {
			cases++
			head := append(append(append([]string{}, base...), "Mcp-Name", right), change...)
			a := g.do("POST", body, head...)
			if code := codeOf(t, a.body); a.status != 400 || code != -32020 {
				t.Errorf("%s %q with %q: %d %s", call.method, call.subject, change, a.status, a.body)
			}
		}
		before := reached.Load()
		if a := g.do("POST", body, append(base, "Mcp-Name", right)...); a.status != 200 || reached.Load() != before+1 {
			t.Errorf("%s %q with the headers it needs: %d %s", call.method, call.subject, a.status, a.body)
		}
	}
	if got := reached.Load(); got != 8 {
		t.Errorf("%d calls got through, want the 8 that were right", got)
	}
	if cases < 60 {
		t.Errorf("only %d cases", cases)
	}
}

// Header names are compared without case, values with the space around them cut
// (RFC 9110 §5.1 and §5.5).
func TestMirroringHeadersAreReadAsHTTPHeaders(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	body, _ := modern("7", "tools/call", `"name":"find"`)
	for _, head := range []string{
		"mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: find\r\n",
		"MCP-PROTOCOL-VERSION:2026-07-28\r\nMCP-METHOD:tools/call\r\nMCP-NAME:find\r\n",
		"Mcp-Protocol-Version: \t2026-07-28 \r\nMcp-Method:   tools/call\t\r\nMcp-Name: \t find  \r\n",
	} {
		c, in := g.dial()
		fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
			t.Errorf("%q: %q %v", head, line, err)
		}
	}
}

// Notifications mirror nothing but the revision.
func TestNotificationsNeedNoMirrors(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	a := g.do("POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,`+meta(modernRevision)+`}}`, "Mcp-Protocol-Version", modernRevision)
	if a.status != 202 {
		t.Errorf("status = %d: %s", a.status, a.body)
	}
}

// Mcp-Param headers may be long, but not without end (RFC 6585 §5).
func TestCorner5_15_HeadersAreBounded(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	body, _ := modern("7", "tools/call", `"name":"find"`)
	for size, want := range map[int]string{8 << 10: "HTTP/1.1 200", 64 << 10: "HTTP/1.1 431"} {
		c, in := g.dial()
		fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nMcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: find\r\nMcp-Param-X: %s\r\nContent-Length: %d\r\n\r\n%s",
			strings.Repeat("x", size), len(body), body)
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("%d bytes: %q %v, want %s", size, line, err, want)
		}
	}
}
