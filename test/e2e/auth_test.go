package e2e

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/test/fake"
	"github.com/headgate/headgate/test/peer"
)

// keys writes the auth section of a configuration with a key for each name, which
// belongs to an organisation of that name, and returns the keys.
func keys(names ...string) (section string, all map[string]string) {
	all = map[string]string{}
	var b strings.Builder
	b.WriteString("auth:\n  keys:\n")
	for _, name := range names {
		key, hash := auth.NewKey()
		all[name] = key
		fmt.Fprintf(&b, "    - {id: %s, hash: %q, org: %s, scopes: [\"mcp:*\"]}\n", name, hash, name)
	}
	return b.String(), all
}

// as makes a client of one more that sends its messages with a key.
func as(key string, headers map[string]string) map[string]string {
	out := map[string]string{"Authorization": "Bearer " + key}
	maps.Copy(out, headers)
	return out
}

// attempt sends a request without a body and returns the answer.
func attempt(t testing.TB, method, url string, headers map[string]string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

const listTools = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`

// modernList is a modern client's request for the tools, and its header fields.
func modernList() (string, map[string]string) {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
		modernHeaders("tools/list", "")
}

// Nobody gets in without a credential, whatever the request is and whatever else is
// wrong with it.
func TestEveryRequestIsAuthenticated(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{Name: "one", Eras: fake.Legacy | fake.Modern})
	section, key := keys("acme")
	g := startGateway(t, section+"upstreams:\n"+httpUpstream("one", server))
	url := endpoint(g, "/mcp")
	session := openSession(t, url, key["acme"])
	initialize := `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`
	modern, modernFields := modernList()
	inSession := map[string]string{"Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-11-25"}
	unknown := map[string]string{"Mcp-Session-Id": "no-such-session"}
	stream := map[string]string{"Accept": "text/event-stream"}
	upgrade := map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
	for _, wrong := range []string{"", "Bearer wrong"} {
		with := func(fields ...map[string]string) map[string]string {
			out := map[string]string{}
			if wrong != "" {
				out["Authorization"] = wrong
			}
			for _, f := range fields {
				maps.Copy(out, f)
			}
			return out
		}
		r := &raw{t: t, url: url}
		posted := func(body string, headers map[string]string) *http.Response {
			res, _ := r.post(body, headers)
			return res
		}
		for name, res := range map[string]*http.Response{
			"initialize":           posted(initialize, with()),
			"in a session":         posted(listTools, with(inSession)),
			"no such session":      posted(listTools, with(unknown)),
			"no session":           posted(listTools, with()),
			"modern":               posted(modern, with(modernFields)),
			"a batch":              posted("["+listTools+"]", with(inSession)),
			"an answer":            posted(`{"jsonrpc":"2.0","id":1,"result":{}}`, with(inSession)),
			"a notification":       posted(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, with(inSession)),
			"no JSON":              posted(`{`, with()),
			"another media type":   posted(listTools, with(map[string]string{"Content-Type": "text/plain"})),
			"a stream":             attempt(t, http.MethodGet, url, with(inSession, stream)),
			"a resumed stream":     attempt(t, http.MethodGet, url, with(inSession, stream, map[string]string{"Last-Event-ID": "x"})),
			"GET":                  attempt(t, http.MethodGet, url, with()),
			"the end of a session": attempt(t, http.MethodDelete, url, with(inSession)),
			"DELETE":               attempt(t, http.MethodDelete, url, with()),
			"another verb":         attempt(t, http.MethodPut, url, with()),
			"a WebSocket":          attempt(t, http.MethodGet, url, with(upgrade)),
			"HTTP+SSE":             attempt(t, http.MethodGet, endpoint(g, "/sse"), with(stream)),
			"HTTP+SSE, a message":  attempt(t, http.MethodPost, endpoint(g, "/sse?sessionId=x"), with(map[string]string{"Content-Type": "application/json"})),
		} {
			if res.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%s with %q: %s, WWW-Authenticate %q", name, wrong, res.Status, res.Header.Get("WWW-Authenticate"))
			}
			if got := res.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("%s with %q: content type %s", name, wrong, got)
			}
		}
	}
	if res, body := (&raw{t: t, url: url}).post(listTools, as(key["acme"], inSession)); res.StatusCode != http.StatusOK {
		t.Errorf("the session is of no use to its owner: %s: %s", res.Status, body)
	}
	if res := attempt(t, http.MethodOptions, url, map[string]string{"Origin": "http://localhost:1", "Access-Control-Request-Method": "POST"}); res.StatusCode != http.StatusNoContent {
		t.Errorf("a browser's question: %s", res.Status)
	}
}

// openSession opens a legacy session with a key.
func openSession(t testing.TB, url, key string) string {
	t.Helper()
	r := &raw{t: t, url: url}
	res, body := r.post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`, as(key, nil))
	session := res.Header.Get("Mcp-Session-Id")
	if session == "" {
		t.Fatalf("initialize: %s: %s", res.Status, body)
	}
	return session
}

// T1: no credential of a client is seen by an upstream, or in the log.
func TestT1_CredentialsArePassedToNobody(t *testing.T) {
	t.Parallel()
	old, oldURL := fakeUpstream(t, fake.Config{Name: "old", Eras: fake.Legacy, Record: true})
	young, youngURL := fakeUpstream(t, fake.Config{Name: "new", Eras: fake.Modern, Record: true})
	section, key := keys("acme")
	var log lockedBuffer
	g := startGatewayWith(t, section+"upstreams:\n"+httpUpstream("old", oldURL)+httpUpstream("new", youngURL), slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	const canary = "canary-7c1f"
	secrets := map[string]string{
		"Authorization": "Bearer " + key["acme"], "Cookie": "session=" + canary, "Proxy-Authorization": "Basic " + canary, "X-Forwarded-User": canary,
		"X-Custom-Token": canary,
	}
	url := endpoint(g, "/mcp")
	r := &raw{t: t, url: url}
	inSession := map[string]string{"Mcp-Session-Id": openSession(t, url, key["acme"]), "MCP-Protocol-Version": "2025-11-25"}
	maps.Copy(inSession, secrets)
	for _, name := range []string{"old__echo", "new__echo"} {
		body := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + name + `","arguments":{"text":"here"}}}`
		if res, text := r.post(body, inSession); res.StatusCode != http.StatusOK || !strings.Contains(message(res, text), "here") {
			t.Errorf("%s: %s: %s", name, res.Status, text)
		}
		modern := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + name +
			`","arguments":{"text":"here"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
		fields := modernHeaders("tools/call", name)
		maps.Copy(fields, secrets)
		if res, text := r.post(modern, fields); res.StatusCode != http.StatusOK || !strings.Contains(message(res, text), "here") {
			t.Errorf("%s: %s: %s", name, res.Status, text)
		}
	}
	plain := map[string]string{"X-Api-Key": key["acme"]}
	if res, text := r.post(listTools, plain); res.StatusCode != http.StatusBadRequest {
		t.Errorf("X-Api-Key without a session: %s: %s", res.Status, text)
	}
	r.post(listTools, map[string]string{"Authorization": "Bearer " + canary + "-wrong"})
	seen := 0
	for _, s := range []*fake.Server{old, young} {
		for _, got := range s.Received() {
			seen++
			all := fmt.Sprint(got.Header, got.Path, string(got.Body))
			for _, secret := range []string{key["acme"], canary} {
				if strings.Contains(all, secret) {
					t.Errorf("an upstream was sent %s: %s", secret, all)
				}
			}
			for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "Proxy-Authorization"} {
				if got.Header.Get(name) != "" {
					t.Errorf("an upstream was sent %s", name)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("the upstreams were sent nothing")
	}
	for _, secret := range []string{key["acme"], canary} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %s:\n%s", secret, log.String())
		}
	}
}

// lockedBuffer is a log that many write and one reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestScopesLimitMethods(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{Name: "one", Eras: fake.Legacy | fake.Modern})
	key, hash := auth.NewKey()
	g := startGateway(t, fmt.Sprintf("auth:\n  resource: https://gateway.example.com\n  jwt: [{issuer: \"https://idp.example.com\", jwks_uri: \"https://idp.example.com/jwks\"}]\n"+
		"  keys:\n    - {id: a, hash: %q, scopes: [\"mcp:tools/list\"]}\nupstreams:\n", hash)+httpUpstream("one", server))
	body, fields := modernList()
	r := &raw{t: t, url: endpoint(g, "/mcp")}
	if res, text := r.post(body, as(key, fields)); res.StatusCode != http.StatusOK {
		t.Errorf("tools/list: %s: %s", res.Status, text)
	}
	call := strings.Replace(body, `tools/list","params":{`, `tools/call","params":{"name":"one__echo","arguments":{},`, 1)
	res, text := r.post(call, as(key, modernHeaders("tools/call", "one__echo")))
	want := `Bearer error="insufficient_scope", resource_metadata="https://gateway.example.com/.well-known/oauth-protected-resource/mcp", scope="mcp:*"`
	if res.StatusCode != http.StatusForbidden || res.Header.Get("WWW-Authenticate") != want || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("tools/call: %s %v: %s", res.Status, res.Header, text)
	}
	unknown := strings.ReplaceAll(call, "one__echo", "no-such-tool")
	if again, text := r.post(unknown, as(key, modernHeaders("tools/call", "no-such-tool"))); again.StatusCode != http.StatusForbidden || again.Header.Get("WWW-Authenticate") != want {
		t.Errorf("tools/call of what is not there: %s: %s", again.Status, text)
	}
	if res := attempt(t, http.MethodGet, endpoint(g, "/.well-known/oauth-protected-resource/mcp/one"), nil); res.StatusCode != http.StatusOK {
		t.Errorf("metadata: %s", res.Status)
	}
}

// WebSockets end when the credential does, and are for its bearer alone.
func TestWebSocketsAreAuthenticated(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{Name: "one", Eras: fake.Legacy | fake.Modern})
	section, key := keys("acme")
	g := startGateway(t, section+"upstreams:\n"+httpUpstream("one", server))
	url := "ws" + strings.TrimPrefix(endpoint(g, "/mcp"), "http")
	_, res, err := websocket.DefaultDialer.DialContext(t.Context(), url, nil)
	if err == nil || res == nil || res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a key: %v", err)
	}
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), url, http.Header{"Authorization": {"Bearer " + key["acme"]}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body, _ := modernList()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(body)); err != nil {
		t.Fatal(err)
	}
	if _, text, err := conn.ReadMessage(); err != nil || !bytes.Contains(text, []byte(`"tools"`)) {
		t.Errorf("%s, %v", text, err)
	}
}

// Foreign clients get in with a key, and say what is wrong without one.
func TestForeignClientsBringKeys(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{Name: "one", Eras: fake.Legacy | fake.Modern})
	section, key := keys("acme")
	g := startGateway(t, section+"upstreams:\n"+httpUpstream("one", server))
	url := endpoint(g, "/mcp")
	for _, era := range []string{"legacy", "modern"} {
		args := []string{url, "--transport", "http", "--protocol-era", era, "--method", "tools/list"}
		if out := peer.Inspector(t, append(args, "--header", "Authorization: Bearer "+key["acme"])...); out.Code != 0 || !strings.Contains(out.Stdout, "one__echo") {
			t.Errorf("%s, with a key: %d %s %s", era, out.Code, out.Stdout, out.Stderr)
		}
		if out := peer.Inspector(t, args...); out.Code != 3 { // its exit code for missing credentials
			t.Errorf("%s, without a key: %d %s %s", era, out.Code, out.Stdout, out.Stderr)
		}
	}
}
