package fake_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/test/fake"
)

const (
	initializeBody = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	modernMeta     = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
)

// answer is what came back from one HTTP request.
type answer struct {
	Status int
	Type   string
	Body   string
	header http.Header
}

// send sends one HTTP request; header is pairs of names and values beyond those every POST needs.
func send(t *testing.T, method, url, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{Status: resp.StatusCode, Type: resp.Header.Get("Content-Type"), Body: string(text), header: resp.Header}
}

// begin opens a legacy session.
func begin(t *testing.T, url string) string {
	t.Helper()
	return send(t, http.MethodPost, url, initializeBody).header.Get("Mcp-Session-Id")
}

func TestLegacySessionIsOpenedUsedAndEnded(t *testing.T) {
	t.Parallel()
	server, url := serve(t, fake.Config{})
	session := begin(t, url)
	if session == "" {
		t.Fatal("initialize named no session")
	}
	ping := `{"jsonrpc":"2.0","id":"é","method":"ping"}`
	steps := []struct {
		name, method, body string
		header             []string
		want               int
	}{
		{"notification", http.MethodPost, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, []string{"Mcp-Session-Id", session}, 202},
		{"answer to a question", http.MethodPost, `{"jsonrpc":"2.0","id":7,"result":{}}`, []string{"Mcp-Session-Id", session}, 202},
		{"ping", http.MethodPost, ping, []string{"Mcp-Session-Id", session}, 200},
		{"ping with revision", http.MethodPost, ping, []string{"Mcp-Session-Id", session, "MCP-Protocol-Version", "2025-11-25"}, 200},
		{"unknown revision", http.MethodPost, ping, []string{"Mcp-Session-Id", session, "MCP-Protocol-Version", "2025-01-01"}, 400},
		{"no session", http.MethodPost, ping, nil, 400},
		{"foreign session", http.MethodPost, ping, []string{"Mcp-Session-Id", "x"}, 404},
		{"no accept", http.MethodPost, ping, []string{"Mcp-Session-Id", session, "Accept", "application/json"}, 406},
		{"form", http.MethodPost, ping, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		{"batch", http.MethodPost, `[` + ping + `]`, []string{"Mcp-Session-Id", session}, 400},
		{"no JSON", http.MethodPost, `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":tru}}`, []string{"Mcp-Session-Id", session}, 400},
		{"null id", http.MethodPost, `{"jsonrpc":"2.0","id":null,"method":"ping"}`, []string{"Mcp-Session-Id", session}, 400},
		{"stream without session", http.MethodGet, "", nil, 400},
		{"PUT", http.MethodPut, "", nil, 405},
		{"end", http.MethodDelete, "", []string{"Mcp-Session-Id", session}, 204},
		{"after the end", http.MethodPost, ping, []string{"Mcp-Session-Id", session}, 404},
	}
	for _, step := range steps {
		if got := send(t, step.method, url, step.body, step.header...); got.Status != step.want {
			t.Errorf("%s: status %d, want %d: %s", step.name, got.Status, step.want, got.Body)
		}
	}
	if n := server.Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestLegacyRevisionIsNegotiated(t *testing.T) {
	t.Parallel()
	_, url := serve(t, fake.Config{})
	for asked, want := range map[string]string{"2024-11-05": "2024-11-05", "2025-06-18": "2025-06-18", "1999-01-01": "2025-11-25"} {
		got := send(t, http.MethodPost, url, strings.Replace(initializeBody, "2025-11-25", asked, 1))
		if !strings.Contains(got.Body, `"protocolVersion":"`+want+`"`) {
			t.Errorf("asked for %s: %s", asked, got.Body)
		}
	}
}

func TestModernRequestsAreCheckedAgainstTheirHeaders(t *testing.T) {
	t.Parallel()
	_, url := serve(t, fake.Config{Tools: []fake.Tool{{Name: "é", Behaviour: fake.Echo}}})
	call := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"é","arguments":{"a":"b"},` + modernMeta + `}}`
	version, method, name := []string{"MCP-Protocol-Version", "2026-07-28"}, []string{"Mcp-Method", "tools/call"}, []string{"Mcp-Name", "=?base64?w6k=?="}
	join := func(parts ...[]string) (all []string) {
		for _, part := range parts {
			all = append(all, part...)
		}
		return all
	}
	tests := []struct {
		name, body string
		header     []string
		status     int
		contains   string
	}{
		{"good", call, join(version, method, name), 200, `{"resultType":"complete","content":[{"type":"text","text":"b"}]}`},
		{"session is ignored", call, join(version, method, name, []string{"Mcp-Session-Id", "x"}), 200, `complete`},
		{"no revision header", call, join(method, name), 400, `-32020`},
		{"other revision header", call, join([]string{"MCP-Protocol-Version", "2026-07-29"}, method, name), 400, `-32020`},
		{"no method header", call, join(version, name), 400, `-32020`},
		{"no name header", call, join(version, method), 400, `-32020`},
		{"plain name header", call, join(version, method, []string{"Mcp-Name", "e"}), 400, `-32020`},
		{"broken name header", call, join(version, method, []string{"Mcp-Name", "=?base64?w6k="}), 400, `-32020`},
		{"future revision", strings.Replace(call, "2026-07-28", "2030-01-01", 1), join([]string{"MCP-Protocol-Version", "2030-01-01"}, method, name), 400, `-32022`},
		{"no meta", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`, join(version, []string{"Mcp-Method", "tools/list"}), 400, `-32602`},
		{"removed method", strings.Replace(call, "tools/call", "ping", 1), join(version, []string{"Mcp-Method", "ping"}), 404, `-32601`},
		{"unknown tool", strings.Replace(call, `"é"`, `"x"`, 1), join(version, method, []string{"Mcp-Name", "x"}), 400, `-32602`},
		{"notification", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, version, 202, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := send(t, http.MethodPost, url, tt.body, tt.header...)
			if got.Status != tt.status || !strings.Contains(got.Body, tt.contains) {
				t.Errorf("got %d %s; want %d with %s", got.Status, got.Body, tt.status, tt.contains)
			}
		})
	}
}

func TestServersOfOneEraAnswerTheOtherAsRealOnesDo(t *testing.T) {
	t.Parallel()
	discover := `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{` + modernMeta + `}}`
	_, legacy := serve(t, fake.Config{Eras: fake.Legacy})
	got := send(t, http.MethodPost, legacy, discover, "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "server/discover")
	if got.Status != 400 || strings.Contains(got.Body, "-3202") {
		t.Errorf("a legacy server answered a probe with %d %s, which looks modern", got.Status, got.Body)
	}
	_, modern := serve(t, fake.Config{Eras: fake.Modern})
	if got := send(t, http.MethodPost, modern, initializeBody); got.Status != 400 {
		t.Errorf("a modern server answered initialize with %d %s", got.Status, got.Body)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if got := send(t, method, modern, ""); got.Status != 405 {
			t.Errorf("a modern server answered %s with %d", method, got.Status)
		}
	}
}

func TestResultsAreSentByteForByte(t *testing.T) {
	t.Parallel()
	raw := `{ "z":1.0, "a":9007199254740993,"<":"\u003c\u00e9é", "content":[{"type":"made up"}] }`
	for name, sse := range map[string]bool{"JSON": false, "SSE": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, url := serve(t, fake.Config{SSE: sse, Tools: []fake.Tool{{Name: "raw", Behaviour: fake.Result([]byte(raw))}}})
			got := send(t, http.MethodPost, url, `{"jsonrpc":"2.0","id":-0,"method":"tools/call","params":{"name":"raw"}}`, "Mcp-Session-Id", begin(t, url))
			body := `{"jsonrpc":"2.0","id":-0,"result":` + raw + `}`
			want := answer{200, "application/json", body, got.header}
			if sse {
				want = answer{200, "text/event-stream", "data: " + body + "\n\n", got.header}
			}
			if got.Status != want.Status || got.Type != want.Type || got.Body != want.Body {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

func TestLineEndsInsideAResultSurviveFraming(t *testing.T) {
	t.Parallel()
	_, url := serve(t, fake.Config{SSE: true, Tools: []fake.Tool{{Name: "raw", Behaviour: fake.Result([]byte("{\r\n\"a\":1\n}"))}}})
	got := send(t, http.MethodPost, url, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"raw"}}`, "Mcp-Session-Id", begin(t, url))
	want := "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{ \ndata: \"a\":1\ndata: }}\n\n"
	if got.Body != want {
		t.Errorf("got %q, want %q", got.Body, want)
	}
}

func TestWhatArrivedIsRecorded(t *testing.T) {
	t.Parallel()
	server, url := serve(t, fake.Config{Record: true})
	session := begin(t, url)
	body := `{"jsonrpc":"2.0", "id":1 ,"method":"tools/call","params":{"arguments":{"n":1.0},"name":"echo"}}`
	send(t, http.MethodPost, url, body, "Mcp-Session-Id", session, "X-Test", "yes")
	send(t, http.MethodDelete, url, "", "Mcp-Session-Id", session)
	got := server.Received()
	if len(got) != 3 {
		t.Fatalf("%d records, want 3", len(got))
	}
	call := got[1]
	if string(call.Body) != body || call.Header.Get("X-Test") != "yes" || call.Path != "/mcp" || call.HTTPMethod != http.MethodPost {
		t.Errorf("record = %+v", call)
	}
}

func TestCancelledCallsGetNoAnswer(t *testing.T) {
	t.Parallel()
	started := make(chan struct{})
	_, url := serve(t, fake.Config{Tools: []fake.Tool{{Name: "hang", Behaviour: fake.Delayed(func() time.Duration { close(started); return 0 }, fake.Hang)}}})
	session := begin(t, url)
	done := make(chan answer)
	go func() {
		done <- send(t, http.MethodPost, url, `{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"hang"}}`, "Mcp-Session-Id", session)
	}()
	<-started
	send(t, http.MethodPost, url, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}`, "Mcp-Session-Id", session)
	if got := <-done; got.Body != "" || got.Type != "text/event-stream" {
		t.Errorf("the cancelled call got %v", got)
	}
}

func TestBroadcastsReachTheNewestStreamOfASession(t *testing.T) {
	t.Parallel()
	server, url := serve(t, fake.Config{})
	session := begin(t, url)
	open := func() *bufio.Reader {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/event-stream")
		req.Header.Set("Mcp-Session-Id", session)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return bufio.NewReader(resp.Body)
	}
	first, second := open(), open()
	server.Notify("notifications/x", []byte(`{"a":1}`))
	line, err := second.ReadString('\n')
	if want := "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\",\"params\":{\"a\":1}}\n"; err != nil || line != want {
		t.Errorf("second stream: %q, %v; want %q", line, err, want)
	}
	server.Close()
	if rest, err := io.ReadAll(first); err != nil || len(rest) != 0 {
		t.Errorf("first stream: %q, %v; want nothing", rest, err)
	}
	if rest, err := io.ReadAll(second); err != nil || !bytes.Equal(rest, []byte("\n")) {
		t.Errorf("second stream after the close: %q, %v", rest, err)
	}
}

func TestListenIsAcknowledgedTaggedAndEndedWithAResult(t *testing.T) {
	t.Parallel()
	server, url := serve(t, fake.Config{})
	body := `{"jsonrpc":"2.0","id":"s1","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"promptsListChanged":true},` + modernMeta + `}}`
	done := make(chan answer)
	go func() {
		done <- send(t, http.MethodPost, url, body, "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "subscriptions/listen")
	}()
	for server.Streams() == 0 {
		time.Sleep(time.Millisecond)
	}
	server.Notify("notifications/prompts/list_changed", nil)
	server.Notify("notifications/tools/list_changed", []byte(`{"x":1}`))
	server.Close()
	tag := `"_meta":{"io.modelcontextprotocol/subscriptionId":"s1"}`
	want := `data: {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{` + tag + `,"notifications":{"toolsListChanged":true}}}` + "\n\n" +
		`data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{` + tag + `,"x":1}}` + "\n\n" +
		`data: {"jsonrpc":"2.0","id":"s1","result":{"resultType":"complete",` + tag + `}}` + "\n\n"
	if diff := cmp.Diff(want, (<-done).Body); diff != "" {
		t.Errorf("listen (-want +got):\n%s", diff)
	}
}
