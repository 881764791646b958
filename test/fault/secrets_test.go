package fault

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/telemetry"
)

// canaries are secrets that are planted where they could get into a log or an answer. Each is one of its own.
type canaries struct {
	mu    sync.Mutex
	count int
	// kept are how they begin, and shown those that clients must not see either: all but their own.
	kept, shown []string
}

// plant returns another secret. own says that the client itself has sent it.
func (c *canaries) plant(own bool) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	begin := fmt.Sprintf("x%05dq", c.count)
	c.kept = append(c.kept, begin)
	if !own {
		c.shown = append(c.shown, begin)
	}
	return begin + "7Rz2LwK9sTfV4xB8nYcJ3"
}

// forms are ways in which secrets stand in text that nobody knows.
var forms = []func(secret string) string{
	func(s string) string { return "Authorization: Bearer " + s },
	func(s string) string { return "key sk-" + s + " was refused" },
	func(s string) string { return `{"error":{"api_key":"` + s + `","why":"expired"}}` },
	func(s string) string { return "dial https://admin:" + s + "@db.internal:5432/x: refused" },
	func(s string) string { return "GET /v1?access_token=" + s + "&page=2 failed" },
	func(s string) string { return "Cookie: session=" + s },
	func(s string) string {
		return "jwt eyJhbGciOiJIUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(s)) + "." + s
	},
	func(s string) string { return "connect: password=" + s + " host=db" },
	func(s string) string { return "ghp_" + s },
	func(s string) string { return "X-Api-Key: " + s },
}

// spill returns text in which there are as many secrets as there are forms, each time with another one first: not all
// text is kept to its end.
func (c *canaries) spill() string {
	var out []string
	for i := range forms {
		out = append(out, forms[(i+c.count)%len(forms)](c.plant(false)))
	}
	return strings.Join(out, "; ")
}

// mishaps are answers of an upstream that says more than it should.
func mishaps(c *canaries, configured []string) []func(v *victim, conn *hostileConn) {
	say := func() string { return c.spill() + "; I was sent " + strings.Join(configured, " and ") }
	status := func(line string) func(*victim, *hostileConn) {
		return func(_ *victim, conn *hostileConn) {
			text := say()
			conn.write("HTTP/1.1 %s\r\nContent-Type: text/plain\r\nX-Debug: %s\r\nContent-Length: %d\r\n\r\n%s", line, forms[1](c.plant(false)), len(text), text)
		}
	}
	return []func(v *victim, conn *hostileConn){
		status("500 Internal Server Error"), status("401 Unauthorized"), status("403 Forbidden"), status("404 Not Found"), status("302 Found"),
		func(_ *victim, conn *hostileConn) { conn.json(say()) },
		func(_ *victim, conn *hostileConn) { conn.events(say()) },
		func(_ *victim, conn *hostileConn) { conn.write("HTTP/1.1 999 %s\r\n\r\n", say()) },
		func(_ *victim, conn *hostileConn) { conn.write("%s\r\n\r\n", say()); _ = conn.Close() },
	}
}

// actLeaker is a server on stdio that says its secrets and ends when its tool is called.
func actLeaker(words string) int {
	return serveStdio(&misdeed{
		say: func(*victim) []string { fmt.Fprintln(os.Stderr, words, os.Getenv("DB_PASSWORD")); return nil },
		end: func() { os.Exit(3) },
	}, false)
}

// TestT28_SecretsStayInside plants secrets in headers, addresses, arguments, answers and panics, and looks for them in the log
// at debug level, in the audit log and in what clients are told.
func TestT28_SecretsStayInside(t *testing.T) {
	rounds := times(3, 30)
	row := &Row{ID: "T28", What: "secrets in headers, addresses, arguments, upstream errors and panics: none in logs, audit log and error answers"}
	enter(t, row)
	c := &canaries{}
	known := make([]string, 5)
	for i := range known {
		known[i] = "configured-" + c.plant(false)
	}
	next := 0
	var answers strings.Builder
	all := mishaps(c, known)
	evil := serveHostile(t, &misdeed{raw: func(v *victim, conn *hostileConn) { all[next](v, conn) }}, true)
	g, j, stop := startJournaled(t, "telemetry: {logs: {messages: true}}\nupstreams:\n"+
		upstreamEntry("evil", "modern", evil.url()+"?tenant=1&api_key="+known[0], nil,
			"breaker: {failures: 0}", fmt.Sprintf("headers: {Authorization: %q, X-Tenant: %q}", "Bearer "+known[1], known[2]))+
		upstreamEntry("leaker", "legacy", "", self("leaker", c.spill(), "--token="+known[3]), fmt.Sprintf("env: {DB_PASSWORD: %q}", known[4])))
	client := newClient(t, g.URL(), true, "{}")
	for range rounds {
		for next = range all {
			arguments := fmt.Sprintf(`"arguments":{"nonce":"n","password":%q,"url":%q}`, c.plant(true), forms[3](c.plant(true)))
			_, told, _ := client.call(t.Context(), "evil__hostile", arguments, "", nil)
			fmt.Fprintln(&answers, texts(told))
			if len(told) != 1 || told[0].Error == nil {
				t.Errorf("mishap %d: %.300s", next, texts(told))
			}
		}
		_, told, _ := client.call(t.Context(), "leaker__hostile", `"arguments":{"nonce":"n"}`, "", nil)
		fmt.Fprintln(&answers, texts(told))
		session := newClient(t, g.URL(), false, "{}")
		for _, name := range []string{"Authorization: Bearer ", "X-Api-Key: ", "Cookie: a=", "Proxy-Authorization: Basic ", "Mcp-Session-Id: "} {
			body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"https://bob:%s@example.com/?token=%s"}}`, c.plant(true), c.plant(true))
			fmt.Fprintln(&answers, exchange(t, g.Addr(), name+c.plant(true)+"\r\n", body))
			fmt.Fprintln(&answers, exchange(t, g.Addr(), "Mcp-Session-Id: "+session.session+"\r\n"+strings.ReplaceAll(name, "Mcp-Session-Id", "X-Secret")+c.plant(true)+"\r\n", body))
		}
	}
	stop()
	log, audit := j.lines(t)
	log = append(log, panics(t, c)...)
	row.Count = fmt.Sprintf("%d secrets", c.count)
	row.Figures = fmt.Sprintf("%d lines of log, %d of audit log, %d KiB of answers", len(log), len(audit), answers.Len()>>10)
	for place, text := range map[string]string{"log": strings.Join(log, "\n"), "audit log": strings.Join(audit, "\n")} {
		c.seek(t, place, text, c.kept)
	}
	c.seek(t, "answers", answers.String(), c.shown)
	hidden := strings.Count(strings.Join(log, ""), "[redacted]")
	row.Figures += fmt.Sprintf("; %d were about to be written", hidden)
	if len(audit) < len(all)*rounds || c.count < 300 || hidden < 100 {
		t.Errorf("too little was done: %s", row.Figures)
	}
}

// seek looks for secrets in a place.
func (c *canaries) seek(t *testing.T, place, text string, secrets []string) {
	t.Helper()
	for _, s := range secrets {
		if i := strings.Index(text, s); i >= 0 {
			t.Errorf("in the %s: …%s…", place, text[max(0, i-200):min(len(text), i+60)])
		}
	}
}

// panics lets calls panic with secrets, and returns the log of it.
func panics(t *testing.T, c *canaries) []string {
	t.Helper()
	var out strings.Builder
	log, err := telemetry.NewLogger(&out, "debug", "json")
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range forms {
		for _, value := range []any{form(c.plant(false)), errors.New(form(c.plant(false))), http.Header{"X": {form(c.plant(false))}}} {
			h := policy.Recover(log)(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { panic(value) }))
			_, err := h.Handle(t.Context(), &rpc.Call{Method: &rpc.Method{Name: "x"}})
			c.seek(t, "error", fmt.Sprint(rpc.AsError(err).Message), c.kept)
		}
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}
