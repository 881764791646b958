package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/test/fake"
)

// bearer is a key of a configuration.
type bearer struct{ id, org, team, user, scopes string }

// bearers writes the auth section for some keys, and returns them by id.
func bearers(all ...bearer) (section string, key map[string]string) {
	key = map[string]string{}
	var b strings.Builder
	b.WriteString("auth:\n  keys:\n")
	for _, e := range all {
		var hash string
		key[e.id], hash = auth.NewKey()
		if e.scopes == "" {
			e.scopes = `"mcp:*"`
		}
		fmt.Fprintf(&b, "    - {id: %s, hash: %q, scopes: [%s]", e.id, hash, e.scopes)
		for _, part := range [][2]string{{"org", e.org}, {"team", e.team}, {"user", e.user}} {
			if part[1] != "" {
				fmt.Fprintf(&b, ", %s: %s", part[0], part[1])
			}
		}
		b.WriteString("}\n")
	}
	return b.String(), key
}

// keyholder makes tool calls as one client.
type keyholder struct {
	*raw
	modern bool
}

func modernKey(t testing.TB, g *gateway.Gateway, key string) keyholder {
	return keyholder{&raw{t: t, url: endpoint(g, "/mcp"), key: key}, true}
}

func legacyKey(t testing.TB, g *gateway.Gateway, key string) keyholder {
	t.Helper()
	r := &raw{t: t, url: endpoint(g, "/mcp"), key: key}
	r.session = openSession(t, r.url, key)
	return keyholder{r, false}
}

// request writes a tools/call and the header fields that it needs.
func (c keyholder) request(id int, tool, arguments string) (string, map[string]string) {
	params := fmt.Sprintf(`"name":%q,"arguments":%s`, tool, arguments)
	var headers map[string]string
	if c.modern {
		params += "," + modernMeta
		headers = modernHeaders("tools/call", tool)
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{%s}}`, id, params), headers
}

// tool calls a tool and returns the answer.
func (c keyholder) tool(tool, arguments string, more ...map[string]string) (*http.Response, refusal) {
	c.t.Helper()
	body, headers := c.request(7, tool, arguments)
	for _, m := range more {
		for name, value := range m {
			if headers == nil {
				headers = map[string]string{}
			}
			headers[name] = value
		}
	}
	res, text := c.post(body, headers)
	return res, readRefusal(c.t, message(res, text))
}

// refusal is an answer, as far as it is a refusal.
type refusal struct {
	ID    json.RawMessage
	Error *struct {
		Code    int
		Message string
		Data    struct {
			Reason, Scope, Unit, LimitName, ResetAt string
			Limit, Remaining                        float64
			RetryAfterMs                            int64
		}
	}
	text string
}

func readRefusal(t testing.TB, text string) refusal {
	t.Helper()
	out := refusal{text: text}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Errorf("no JSON: %s", text)
	}
	return out
}

// reason is why the answer is a refusal; empty if it is none.
func (r refusal) reason() string {
	if r.Error == nil {
		return ""
	}
	return r.Error.Data.Reason
}

// Clients are told how limits stand, and when they are beyond one: by status and fields,
// and by an error of JSON-RPC that answers their request.
func TestLimitsAreToldToClients(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{})
	section, key := bearers(bearer{id: "young", org: "a"}, bearer{id: "old", org: "b"}, bearer{id: "socket", org: "c"})
	g := startGateway(t, section+"limits:\n"+
		"  - {name: key-rate, scope: key, unit: requests, method: tools/call, rate: 1/h, burst: 3}\n"+
		"  - {name: org-day, scope: org, unit: requests, method: tools/call, limit: 2, per: day}\n"+
		"upstreams:\n"+httpUpstream("one", server))
	for _, c := range []keyholder{modernKey(t, g, key["young"]), legacyKey(t, g, key["old"])} {
		for left := 1; left >= 0; left-- {
			res, answer := c.tool("one__echo", `{}`)
			limits := strings.Join(res.Header.Values("RateLimit"), ", ")
			if answer.reason() != "" || !strings.Contains(limits, fmt.Sprintf(`"key-rate";r=%d;t=`, left+1)) || !strings.Contains(limits, fmt.Sprintf(`"org-day";r=%d;t=`, left)) {
				t.Errorf("modern %v: %s, RateLimit %s", c.modern, answer.text, limits)
			}
			if got := strings.Join(res.Header.Values("RateLimit-Policy"), ", "); got != `"org-day";q=2;w=86400, "key-rate";q=1;w=3600` {
				t.Errorf("modern %v: RateLimit-Policy %s", c.modern, got)
			}
		}
		res, answer := c.tool("one__echo", `{}`)
		checkRefusal(t, res, answer, 113, "quota_exhausted", "org-day", "org", 2)
		res, answer = c.tool("one__echo", `{}`)
		checkRefusal(t, res, answer, 112, "rate_limited", "key-rate", "key", 3)
		if res, text := c.post(map[bool]string{true: strings.Replace(mustModernList(), `"id":1`, `"id":9`, 1), false: listTools}[c.modern], listHeaders(c)); res.StatusCode != http.StatusOK {
			t.Errorf("what no limit concerns: %s: %s", res.Status, text)
		}
	}
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(endpoint(g, "/mcp"), "http"), http.Header{"Authorization": {"Bearer " + key["socket"]}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body, _ := keyholder{modern: true}.request(3, "one__echo", `{}`)
	for i := range 3 {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(body)); err != nil {
			t.Fatal(err)
		}
		_, text, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if got := readRefusal(t, string(text)); got.reason() != map[bool]string{true: "quota_exhausted"}[i == 2] || string(got.ID) != "3" {
			t.Errorf("over a WebSocket, call %d: %s", i, text)
		}
	}
}

func mustModernList() string { body, _ := modernList(); return body }

func listHeaders(c keyholder) map[string]string {
	if c.modern {
		return modernHeaders("tools/list", "")
	}
	return nil
}

func checkRefusal(t *testing.T, res *http.Response, r refusal, code int, reason, name, scope string, limit float64) {
	t.Helper()
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if res.StatusCode != http.StatusTooManyRequests || err != nil || seconds < 1 || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s, %v", res.Status, res.Header)
	}
	if !strings.HasPrefix(res.Header.Get("RateLimit"), fmt.Sprintf("%q;r=0", name)) || !strings.HasPrefix(res.Header.Get("RateLimit-Policy"), fmt.Sprintf("%q;q=", name)) {
		t.Errorf("RateLimit %q, RateLimit-Policy %q", res.Header["Ratelimit"], res.Header["Ratelimit-Policy"])
	}
	if string(r.ID) != "7" || r.Error == nil {
		t.Fatalf("no error that answers the request: %s", r.text)
	}
	d := r.Error.Data
	if r.Error.Code != code || d.Reason != reason || d.LimitName != name || d.Scope != scope || d.Unit != "requests" || d.Limit != limit || d.Remaining != 0 {
		t.Errorf("the error is %s", r.text)
	}
	if _, err := time.Parse(time.RFC3339, d.ResetAt); err != nil || d.RetryAfterMs <= 0 || d.RetryAfterMs > int64(seconds)*1000 {
		t.Errorf("when to try again: %s, Retry-After %d", r.text, seconds)
	}
}

// T22: a batch of 50 costs 50, and each of its elements is admitted or refused by itself.
func TestT22_ABatchCostsWhatItsElementsDo(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{})
	section, key := bearers(bearer{id: "k", org: "acme"})
	g := startGateway(t, section+"limits: [{name: calls, scope: org, unit: requests, method: tools/call, limit: 70, per: day}]\nupstreams:\n"+httpUpstream("one", server))
	url := endpoint(g, "/mcp")
	r := &raw{t: t, url: url, key: key["k"]}
	res, body := r.post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`, nil)
	session := map[string]string{"Mcp-Session-Id": res.Header.Get("Mcp-Session-Id")}
	if session["Mcp-Session-Id"] == "" {
		t.Fatal(body)
	}
	for _, want := range []struct{ served, refused int }{{50, 0}, {20, 30}, {0, 50}} {
		var elements []string
		for i := range 50 {
			text, _ := keyholder{}.request(i, "one__echo", `{}`)
			elements = append(elements, text)
		}
		res, body := r.post("["+strings.Join(elements, ",")+"]", session)
		var served, refused int
		for _, a := range batchAnswers(t, res, body) {
			switch {
			case a.Error == nil:
				served++
			case a.reason() == "quota_exhausted":
				refused++
			default:
				t.Error(a.text)
			}
		}
		if served != want.served || refused != want.refused {
			t.Errorf("%d served and %d refused, want %+v", served, refused, want)
		}
	}
}

// batchAnswers reads the answers to a batch: an array, or the events of a stream.
func batchAnswers(t *testing.T, res *http.Response, body string) (out []refusal) {
	t.Helper()
	var texts []json.RawMessage
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		for line := range strings.Lines(body) {
			if data, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "data: "); ok && data != "" {
				texts = append(texts, json.RawMessage(data))
			}
		}
	} else if err := json.Unmarshal([]byte(body), &texts); err != nil {
		t.Fatalf("%s: %s", res.Status, body)
	}
	for _, text := range texts {
		out = append(out, readRefusal(t, string(text)))
	}
	return out
}

// T34: who pays is said by the credential and the connection, and by no field that the
// client chooses.
func TestT34_FieldsDoNotChangeWhoPays(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{})
	section, key := bearers(bearer{id: "k", org: "acme", team: "build", user: "eve"})
	var limits strings.Builder
	for _, scope := range []string{"org", "team", "key", "user", "ip"} {
		fmt.Fprintf(&limits, "  - {name: %s-day, scope: %s, unit: requests, method: tools/call, limit: 1, per: day}\n", scope, scope)
	}
	g := startGateway(t, section+"limits:\n"+limits.String()+"upstreams:\n"+httpUpstream("one", server))
	c := modernKey(t, g, key["k"])
	if _, answer := c.tool("one__echo", `{}`); answer.Error != nil {
		t.Fatal(answer.text)
	}
	names := []string{
		"X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP", "X-Forwarded-User", "X-Forwarded-Host", "X-Original-Forwarded-For",
		"X-Org", "X-Tenant", "X-Tenant-Id", "X-Team", "X-User", "X-User-Id", "X-Headgate-Principal", "X-Headgate-Org", "X-Headgate-Key", "X-Forwarded-Client-Cert", "X-Remote-User",
		"Via", "Cookie", "From", "X-Auth-Request-User", "X-Goog-Authenticated-User-Email",
	}
	values := []string{"203.0.113.9", `for=203.0.113.9;by="other"`}
	spoofed := 0
	for _, name := range names {
		for _, value := range values {
			spoofed++
			if _, answer := c.tool("one__echo", `{}`, map[string]string{name: value}); answer.reason() != "quota_exhausted" {
				t.Errorf("%s: %s got through: %s", name, value, answer.text)
			}
		}
	}
	if spoofed != 50 {
		t.Errorf("%d cases", spoofed)
	}
}
