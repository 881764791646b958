package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/headgate/headgate/test/fake"
)

// eachText calls f with all texts of a JSON value, names of members included.
func eachText(v any, f func(string)) {
	switch v := v.(type) {
	case string:
		f(v)
	case []any:
		for _, item := range v {
			eachText(item, f)
		}
	case map[string]any:
		for name, item := range v {
			f(name)
			eachText(item, f)
		}
	}
}

// T20: what comes from outside makes no log lines of its own, controls no terminal and
// fills no disk.
func TestT20_LogLinesStayLogLines(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{Name: "one", Tools: []fake.Tool{{Name: "fail", Behaviour: fake.Fail(fake.Error{Code: -32000, Message: "a\r\nb\x1b[31m\u202e"})}}})
	section, key := keys("acme")
	var log lockedBuffer
	g := startGatewayWith(t, section+"upstreams:\n"+httpUpstream("one", server), slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	url := endpoint(g, "/mcp")
	session := map[string]string{"Mcp-Session-Id": openSession(t, url, key["acme"])}
	r := &raw{t: t, url: url, key: key["acme"]}
	hostile := []string{
		"x\r\nlevel=ERROR msg=forged", "x\n{\"level\":\"ERROR\",\"msg\":\"forged\"}", "\x1b[2J\x1b]0;title\x07", "a\u202eb", "a\u0085b", "a\u2028b", "\x00", strings.Repeat("A", 1<<20),
	}
	for _, text := range hostile {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%s,"arguments":{}}}`,
			`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"none","arguments":{}}}`,
			`{"jsonrpc":"2.0","id":1,"method":%s}`,
			`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":%s}}`,
			`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":%s}}`,
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__fail","arguments":{"text":%s}}}`,
			`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%s}}`,
			`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":%s,"capabilities":{}}}`,
		} {
			r.post(fmt.Sprintf(body, quoted), session)
		}
		if !strings.ContainsAny(text, "\r\n\x00\x1b\x07") && len(text) < 1<<14 { // a client cannot send the others in a header
			for _, name := range []string{"Mcp-Session-Id", "Authorization", "Last-Event-ID", "Origin", "MCP-Protocol-Version"} {
				r.post(listTools, map[string]string{name: text})
			}
		}
	}
	lines := 0
	for line := range strings.Lines(log.String()) {
		lines++
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil || event["msg"] == nil || event["level"] == nil {
			t.Errorf("no event: %.200q", line)
		}
		if strings.ContainsAny(line, "\x1b\x00\x07\r") || len(line) > 8<<10 {
			t.Errorf("%d bytes: %.200q", len(line), line)
		}
		if event["msg"] == "forged" {
			t.Errorf("forged: %s", line)
		}
		eachText(event, func(s string) {
			if len(s) > 2<<10 {
				t.Errorf("a field of %d bytes: %.100q", len(s), s)
			}
		})
	}
	if lines == 0 {
		t.Error("nothing was logged")
	}
}

// T28: secrets are not in the log, not even in what goes wrong with them.
func TestT28_SecretsAreNotLogged(t *testing.T) {
	t.Parallel()
	var canaries []string
	canary := func() string {
		c := fmt.Sprintf("canary-%04d-5eC", len(canaries))
		canaries = append(canaries, c)
		return c
	}
	broken := fake.Tool{Name: "fail", Behaviour: fake.Fail(fake.Error{Code: -32000, Message: canary()})}
	panics := fake.Tool{Name: "panic", Behaviour: func(context.Context, *fake.Call) ([]byte, error) { panic(http.ErrAbortHandler) }}
	_, server := fakeUpstream(t, fake.Config{Name: "one", Tools: []fake.Tool{broken, panics, {Name: "echo", Behaviour: fake.Echo}}})
	var log lockedBuffer
	g := startGatewayWith(t, fmt.Sprintf(`auth:
  keys: [{id: a, key: %q, scopes: ["mcp:*"]}]
  jwt: [{issuer: shop, audience: us, secret: "%s%s"}, {issuer: "http://127.0.0.1:1", audience: us, allow_private: true}]
  introspection: [{url: "http://127.0.0.1:1/introspect", client_id: gateway, client_secret: %q, audience: us, cache: 0s, allow_private: true}]
upstreams:
  one: {url: %q, headers: {X-Key: %q}}
  gone: {url: "http://127.0.0.1:1/%s?key=%s", headers: {Authorization: "Bearer %s"}}
`, canary()+canary(), canary(), canary()+canary(), canary(), server, canary(), canary(), canary(), canary()),
		slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := &raw{t: t, url: endpoint(g, "/mcp"), key: canaries[1] + canaries[2]}
	list, fields := modernList()
	if res, body := r.post(list, fields); res.StatusCode != http.StatusOK {
		t.Fatalf("the key is not good: %s: %s", res.Status, body)
	}
	for range 20 {
		r.post(list, map[string]string{"Authorization": "Bearer " + canary()})
		r.post(list, map[string]string{"Authorization": "Basic " + canary()})
		r.post(list, map[string]string{"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJzaG9wIn0." + canary()})
		r.post(list, map[string]string{"X-Api-Key": canary()})
		r.post(list, map[string]string{"Cookie": "session=" + canary(), "Proxy-Authorization": "Basic " + canary()})
		(&raw{t: t, url: r.url + "?access_token=" + canary() + "&key=" + canary(), key: r.key}).post(list, fields)
		for _, tool := range []string{"one__echo", "one__fail", "one__panic", "gone__echo", "none"} {
			call := strings.Replace(list, `tools/list","params":{`, `tools/call","params":{"name":"`+tool+`","arguments":{"password":"`+canary()+`","text":"`+canary()+`"},`, 1)
			r.post(call, modernHeaders("tools/call", tool))
		}
	}
	if len(canaries) < 300 {
		t.Errorf("%d canaries", len(canaries))
	}
	text := log.String()
	for _, c := range canaries {
		if i := strings.Index(text, c); i >= 0 {
			t.Errorf("%s is in the log: %s", c, text[max(0, i-200):i+40])
		}
	}
}
