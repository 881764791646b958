package mcpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mark3labs "github.com/mark3labs/mcp-go/mcp"
	mark3labsserver "github.com/mark3labs/mcp-go/server"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/test/fake"
)

// remote is the configuration of an upstream that a handler serves until the test ends.
func remote(t *testing.T, h http.Handler) config.Upstream {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return config.Upstream{Name: "remote", URL: server.URL + "/mcp?tenant=7", Era: "auto", Timeout: 20 * time.Second}
}

// sdkHandler serves the official SDK's server.
func sdkHandler(opts *sdk.StreamableHTTPOptions) http.Handler {
	s := sdkServer()
	return sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, opts)
}

func mark3labsHandler() http.Handler {
	s := mark3labsserver.NewMCPServer("mcp-go", "1")
	s.AddTool(mark3labs.NewTool("echo"), func(_ context.Context, r mark3labs.CallToolRequest) (*mark3labs.CallToolResult, error) {
		return mark3labs.NewToolResultText(r.GetString("text", "")), nil
	})
	return mark3labsserver.NewStreamableHTTPServer(s)
}

func fakeHandler(t *testing.T, c fake.Config) http.Handler {
	t.Helper()
	c.Tools = []fake.Tool{
		{Name: "echo", Behaviour: fake.Echo},
		{Name: "progress", Behaviour: fake.Progressing(3, 0, fake.Echo)},
		{Name: "hang", Behaviour: fake.Hang},
	}
	s := fake.New(c)
	t.Cleanup(s.Close)
	return s
}

func TestHTTPSpeaksTheErasOfItsServer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name           string
		handler        http.Handler
		era            string
		legacy, modern rpc.Revision
	}{
		{"sdk with sessions", sdkHandler(nil), "auto", "2025-11-25", "2025-11-25"},
		{"sdk with sessions and JSON", sdkHandler(&sdk.StreamableHTTPOptions{JSONResponse: true}), "auto", "2025-11-25", "2025-11-25"},
		{"sdk stateless", sdkHandler(&sdk.StreamableHTTPOptions{Stateless: true}), "auto", "2025-11-25", "2026-07-28"},
		{"sdk stateless JSON", sdkHandler(&sdk.StreamableHTTPOptions{Stateless: true, JSONResponse: true}), "modern", "2026-07-28", "2026-07-28"},
		{"mcp-go", mark3labsHandler(), "auto", "2025-11-25", "2026-07-28"},
		{"mcp-go pinned", mark3labsHandler(), "legacy", "2025-11-25", "2025-11-25"},
		{"fake", fakeHandler(t, fake.Config{}), "auto", "2025-11-25", "2026-07-28"},
		{"fake with streams", fakeHandler(t, fake.Config{SSE: true}), "auto", "2025-11-25", "2026-07-28"},
		{"fake modern", fakeHandler(t, fake.Config{Eras: fake.Modern}), "auto", "2026-07-28", "2026-07-28"},
		{"fake legacy", fakeHandler(t, fake.Config{Eras: fake.Legacy}), "auto", "2025-11-25", "2025-11-25"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := remote(t, test.handler)
			cfg.Era = test.era
			s := newServer(t, cfg)
			for range 2 {
				a := mustRun(t, s, newCall(t, legacyClient(), toolCall(`"x"`, "echo", `{"text":"hi"}`)))
				if a.revision != test.legacy || a.response.Err != nil || a.response.ID.Raw() != `"x"` {
					t.Errorf("legacy client: %s: %s", a.revision, textOf(a.response))
				}
				a = mustRun(t, s, newCall(t, modernClient(), modernToolCall("1", "echo", `{"text":"hi"}`)))
				if a.revision != test.modern || a.response.Err != nil {
					t.Errorf("modern client: %s: %s", a.revision, textOf(a.response))
				}
			}
			if d, err := s.Describe(t.Context()); err != nil || d.Transport != "http" || d.Revision != test.modern || d.Capabilities == nil || d.ServerInfo == nil {
				t.Errorf("%+v %v", d, err)
			}
			if state := s.State(); state.Status != Up || state.Restarts != 0 {
				t.Errorf("state %+v", state)
			}
		})
	}
}

func TestHTTPProgress(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.Handler{
		"sdk": sdkHandler(nil), "fake": fakeHandler(t, fake.Config{}), "sdk stateless": sdkHandler(&sdk.StreamableHTTPOptions{Stateless: true}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, remote(t, h))
			for _, token := range []string{`1`, `"1"`, `9007199254740993`} {
				for _, c := range []*rpc.Call{
					newCall(t, legacyClient(), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"progress","arguments":{"text":"x"},"_meta":{"progressToken":`+token+`}}}`),
					newCall(t, modernClient(), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"progress","arguments":{"text":"x"},"_meta":{`+modernMeta+`,"progressToken":`+token+`}}}`),
				} {
					a := mustRun(t, s, c)
					if len(a.before) != 3 {
						t.Fatalf("%s client: %d notifications, %s", c.Client.Era, len(a.before), textOf(a.response))
					}
					if got, _ := a.before[2].Get("progressToken"); string(got) != token {
						t.Errorf("%s client: token %s became %s", c.Client.Era, token, got)
					}
				}
			}
		})
	}
}

// script is a server over HTTP that answers with what the test says, and keeps what it
// received.
type script struct {
	mu       sync.Mutex
	received []received
	discover func(w http.ResponseWriter) // by default a legacy server's refusal
	initial  func(w http.ResponseWriter, id string)
	answer   func(w http.ResponseWriter, r received)
	get      func(w http.ResponseWriter, r *http.Request) // by default 405
}

type received struct {
	verb   string
	header http.Header
	body   string
	id     string // as text of JSON
	method string
	token  string
	ctx    context.Context
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	got := received{verb: r.Method, header: r.Header.Clone(), body: string(body), ctx: r.Context()}
	var m request
	_ = json.Unmarshal(body, &m)
	got.id, got.method, got.token = string(m.ID), m.Method, string(m.params().Meta.Token)
	s.mu.Lock()
	s.received = append(s.received, got)
	s.mu.Unlock()
	switch {
	case r.Method == http.MethodGet && s.get != nil:
		s.get(w, r)
	case r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case m.Method == "server/discover" && s.discover != nil:
		s.discover(w)
	case m.Method == "server/discover":
		http.Error(w, "Bad Request: Mcp-Session-Id header is required", http.StatusBadRequest)
	case m.Method == "initialize" && s.initial != nil:
		s.initial(w, got.id)
	case m.Method == "initialize":
		w.Header().Set("Mcp-Session-Id", "session-1")
		answerJSON(w, 200, initialized(got.id))
	case m.ID == nil || m.Method == "":
		w.WriteHeader(http.StatusAccepted)
	default:
		s.answer(w, got)
	}
}

func initialized(id string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}}`
}

// discovered answers the probe as a modern server.
func discovered(w http.ResponseWriter) {
	answerJSON(w, 200, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"public"}}`)
}

func answerJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func answerEvents(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range events {
		_, _ = io.WriteString(w, e)
		w.(http.Flusher).Flush()
	}
}

func (s *script) find(verb, method string) []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []received
	for _, r := range s.received {
		if r.verb == verb && (method == "" || r.method == method) {
			out = append(out, r)
		}
	}
	return out
}

func result(id, result string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"result":` + result + `}`
}
func event(data string) string { return "event: message\ndata: " + data + "\n\n" }

func TestLegacyRequestsOnTheWire(t *testing.T) {
	t.Parallel()
	h := &script{answer: func(w http.ResponseWriter, r received) { answerJSON(w, 200, result(r.id, `{}`)) }}
	cfg := remote(t, h)
	cfg.Headers = map[string]config.Secret{"Authorization": "Bearer s3cret", "mcp-session-id": "forged", "X-Tenant": "7"}
	s := newServer(t, cfg)
	c := newCall(t, modernClient(), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","_meta":{`+modernMeta+`,"io.modelcontextprotocol/logLevel":"info","traceparent":"00-1"}}}`)
	c.Header = http.Header{"Authorization": {"Bearer client"}, "Cookie": {"a=b"}}
	mustRun(t, s, c)
	mustRun(t, s, newCall(t, modernClient(), `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{`+modernMeta+`}}}`))
	mustRun(t, s, newCall(t, legacyClient(), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))

	initialize := h.find("POST", "initialize")
	if len(initialize) != 1 || initialize[0].header.Get("Mcp-Session-Id") != "" || initialize[0].header.Get("Mcp-Protocol-Version") != "" {
		t.Errorf("initialize: %+v", initialize)
	}
	if want := `"clientInfo":{"name":"headgate","version":"test"}`; !strings.Contains(initialize[0].body, want) || !strings.Contains(initialize[0].body, `"protocolVersion":"2025-11-25","capabilities":{}`) {
		t.Error(initialize[0].body)
	}
	if len(h.find("POST", "notifications/initialized")) != 1 {
		t.Error("no initialized")
	}
	call := h.find("POST", "tools/call")[0]
	for name, want := range map[string]string{
		"Mcp-Session-Id": "session-1", "Mcp-Protocol-Version": "2025-06-18", "Authorization": "Bearer s3cret", "X-Tenant": "7",
		"Accept": "application/json, text/event-stream", "Content-Type": "application/json", "Cookie": "", "Mcp-Method": "",
	} {
		if got := strings.Join(call.header.Values(name), ","); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if want := `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","_meta":{"traceparent":"00-1"}}}`; call.body != want {
		t.Error(call.body)
	}
	lists := h.find("POST", "tools/list")
	if lists[0].body != `{"jsonrpc":"2.0","id":3,"method":"tools/list","params":{}}` || lists[1].body != `{"jsonrpc":"2.0","id":4,"method":"tools/list"}` {
		t.Error(lists[0].body, lists[1].body)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if del := h.find("DELETE", ""); len(del) != 1 || del[0].header.Get("Mcp-Session-Id") != "session-1" {
		t.Errorf("%d DELETEs", len(del))
	}
}

func TestModernRequestsOnTheWire(t *testing.T) {
	t.Parallel()
	h := &script{discover: discovered, answer: func(w http.ResponseWriter, r received) {
		answerJSON(w, 200, result(r.id, `{"resultType":"complete"}`))
	}}
	s := newServer(t, remote(t, h))
	c := newCall(t, legacyClient(), `{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"gh__é tool","arguments":{"q":"ü","n":{"deep":42.0},"no":null,"b":true}}}`)
	c.Target.Own = "é tool"
	c.Target.ParamHeaders = []rpc.ParamHeader{
		{Name: "Mcp-Param-Q", Path: []string{"q"}}, {Name: "Mcp-Param-Deep", Path: []string{"n", "deep"}},
		{Name: "Mcp-Param-No", Path: []string{"no"}}, {Name: "Mcp-Param-B", Path: []string{"b"}},
	}
	mustRun(t, s, c)
	own := modernToolCall("1", "echo", `{}`)
	mustRun(t, s, newCall(t, modernClient(), own))

	calls := h.find("POST", "tools/call")
	got := calls[0]
	for name, want := range map[string]string{
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": mcp.EncodeHeader("é tool"),
		"Mcp-Param-Q": mcp.EncodeHeader("ü"), "Mcp-Param-Deep": "42", "Mcp-Param-No": "", "Mcp-Param-B": "true", "Mcp-Session-Id": "",
	} {
		if v := strings.Join(got.header.Values(name), ","); v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	want := `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"é tool","arguments":{"q":"ü","n":{"deep":42.0},"no":null,"b":true},"_meta":{` + modernMeta + `}}}`
	if got.body != want {
		t.Errorf("got\n%s\nwant\n%s", got.body, want)
	}
	if want := strings.Replace(own, `"id":1`, `"id":3`, 1); calls[1].body != want {
		t.Errorf("a modern client's message became %s", calls[1].body)
	}
	if name := c.Message; textOf(name) != `{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"gh__é tool","arguments":{"q":"ü","n":{"deep":42.0},"no":null,"b":true}}}` {
		t.Error("the client's message was changed")
	}
}

func TestHTTPIDsAndResultsKeepTheirBytes(t *testing.T) {
	t.Parallel()
	const odd = `{"z":1,"a":12345678901234567890,"f":1.0,"lt":"<&>","raw":"é","esc":"\u00e9","x":[{"type":"hologram"}], "spaced" : [ ] }`
	for name, answer := range map[string]func(w http.ResponseWriter, r received){
		"json":      func(w http.ResponseWriter, r received) { answerJSON(w, 200, result(r.id, odd)) },
		"string id": func(w http.ResponseWriter, r received) { answerJSON(w, 200, result(`"`+r.id+`"`, odd)) },
		"stream":    func(w http.ResponseWriter, r received) { answerEvents(w, event(result(r.id, odd))) },
		"no type": func(w http.ResponseWriter, r received) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, result(r.id, odd))
		},
		"with charset": func(w http.ResponseWriter, r received) {
			w.Header().Set("Content-Type", "Application/JSON; charset=utf-8")
			_, _ = io.WriteString(w, result(r.id, odd))
		},
		"odd stream": func(w http.ResponseWriter, r received) {
			answerEvents(w, "\xEF\xBB\xBF: hello\r\n\r\n", "id: 1\rdata\r\r", "retry: 10\n\n", "event: weird\ndata: not json\n\n",
				"data:"+strings.Replace(result(r.id, odd), `"result"`, "\ndata: \"result\"", 1)+"\n") // no blank line at the end
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, remote(t, &script{answer: answer}))
			for _, id := range []string{`1`, `"1"`, `9007199254740993`, `-0`, `"é"`} {
				a := mustRun(t, s, newCall(t, legacyClient(), toolCall(id, "x", `{}`)))
				if string(a.response.Result) != odd || a.response.ID.Raw() != id || !strings.Contains(textOf(a.response), `"id":`+id) {
					t.Errorf("id %s: %s", id, textOf(a.response))
				}
			}
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		answer func(w http.ResponseWriter, r received)
		code   rpc.Code
		want   string
	}{
		{"html", func(w http.ResponseWriter, _ received) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<p>")
		}, rpc.UpstreamFailed, "text/html"},
		{"not json", func(w http.ResponseWriter, _ received) { answerJSON(w, 200, "oops") }, rpc.UpstreamFailed, "no message"},
		{"another id", func(w http.ResponseWriter, _ received) { answerJSON(w, 200, result("999", "{}")) }, rpc.UpstreamFailed, "another request"},
		{"a notification", func(w http.ResponseWriter, _ received) { answerJSON(w, 200, `{"jsonrpc":"2.0","method":"x"}`) }, rpc.UpstreamFailed, "another request"},
		{"status 500", func(w http.ResponseWriter, _ received) { http.Error(w, "secret internals", 500) }, rpc.UpstreamFailed, "HTTP status 500"},
		{"status 401", func(w http.ResponseWriter, _ received) {
			answerJSON(w, 401, `{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"token"}}`)
		}, rpc.UpstreamFailed, "credentials"},
		{"status 429", func(w http.ResponseWriter, _ received) { w.Header().Set("Retry-After", "7"); w.WriteHeader(429) }, rpc.UpstreamFailed, "429"},
		{"redirect", func(w http.ResponseWriter, _ received) {
			w.Header().Set("Location", "http://elsewhere.example/")
			w.WriteHeader(307)
		}, rpc.UpstreamFailed, "redirect"},
		{"accepted", func(w http.ResponseWriter, _ received) { w.WriteHeader(202) }, rpc.UpstreamFailed, "no stream"},
		{"cut stream", func(w http.ResponseWriter, _ received) { answerEvents(w, ": hi\n\n") }, rpc.UpstreamDown, "without a response"},
		{"damaged event", func(w http.ResponseWriter, _ received) { answerEvents(w, "data: {\n\n") }, rpc.UpstreamFailed, "no message"},
		{"hung up", func(http.ResponseWriter, received) { panic(http.ErrAbortHandler) }, rpc.UpstreamDown, "closed the connection"},
		{"too large", func(w http.ResponseWriter, r received) {
			answerJSON(w, 200, result(r.id, `{"x":"`+strings.Repeat("x", 70_000)+`"}`))
		}, rpc.UpstreamFailed, "size limit"},
		{"too large an event", func(w http.ResponseWriter, r received) {
			answerEvents(w, event(result(r.id, `{"x":"`+strings.Repeat("x", 70_000)+`"}`)))
		}, rpc.UpstreamFailed, "size limit"},
		{"compressed", func(w http.ResponseWriter, _ received) {
			w.Header().Set("Content-Encoding", "gzip")
			answerJSON(w, 200, "x")
		}, rpc.UpstreamFailed, "not HTTP/1.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := remote(t, &script{answer: test.answer})
			s := newServer(t, cfg)
			d := s.dial.(*httpDialer)
			d.maxResult = 64 << 10
			e := mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), test.code)
			if !strings.Contains(e.Message, test.want) {
				t.Error(e.Message)
			}
			for _, not := range []string{"127.0.0.1", "secret internals", "tenant", "elsewhere"} {
				if strings.Contains(e.Message, not) {
					t.Errorf("%q is told: %s", not, e.Message)
				}
			}
			if test.name == "status 429" && e.RetryAfter != 7*time.Second {
				t.Error(e.RetryAfter)
			}
		})
	}
}

func TestErrorsAreRelayedWhateverTheStatus(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 400, 404, 500} {
		failure := `{"jsonrpc":"2.0","id":"%s","error":{"code":-32602,"message":"unknown tool","data":{"n":1.0}}}`
		for name, h := range map[string]*script{
			"legacy": {answer: func(w http.ResponseWriter, r received) { answerJSON(w, status, fmt.Sprintf(failure, r.id)) }},
			"modern": {discover: discovered, answer: func(w http.ResponseWriter, r received) { answerJSON(w, status, fmt.Sprintf(failure, r.id)) }},
			"null id": {answer: func(w http.ResponseWriter, _ received) {
				answerJSON(w, status, strings.Replace(failure, `"%s"`, "null", 1))
			}},
		} {
			a := mustRun(t, newServer(t, remote(t, h)), newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
			if want := `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"unknown tool","data":{"n":1.0}}}`; textOf(a.response) != want {
				t.Errorf("%s %d: %s", name, status, textOf(a.response))
			}
		}
	}
}

func TestProbeOverHTTP(t *testing.T) {
	t.Parallel()
	plain := func(status int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { http.Error(w, body, status) }
	}
	failure := func(status, code int, data string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			answerJSON(w, status, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"error":{"code":%d,"message":"m","data":%s}}`, code, data))
		}
	}
	for _, test := range []struct {
		name     string
		discover func(w http.ResponseWriter)
		want     rpc.Era
		unknown  bool
	}{
		{"modern", discovered, rpc.Modern, false},
		{"unsupported, modern ones offered", failure(400, -32022, `{"supported":["2027-01-01","2026-07-28"]}`), rpc.Modern, false},
		{"unsupported, legacy ones offered", failure(400, -32022, `{"supported":["2025-11-25"]}`), rpc.Legacy, false},
		{"header mismatch", failure(400, -32020, `{}`), rpc.Modern, false},
		{"method not found", failure(404, -32601, `{}`), rpc.Legacy, false},
		{"method not found with 200", failure(200, -32601, `{}`), rpc.Legacy, false},
		{"invalid params", failure(400, -32602, `{}`), rpc.Legacy, false},
		{"no session", failure(400, -32000, `{}`), rpc.Legacy, false},
		{"plain 400", plain(400, "bad"), rpc.Legacy, false},
		{"plain 404", plain(404, ""), rpc.Legacy, false},
		{"plain 405", plain(405, ""), rpc.Legacy, false},
		{"old result", func(w http.ResponseWriter) { answerJSON(w, 200, result("1", `{"protocolVersion":"2025-03-26"}`)) }, rpc.Legacy, false},
		{"old versions", func(w http.ResponseWriter) { answerJSON(w, 200, result("1", `{"supportedVersions":["2025-03-26"]}`)) }, rpc.Legacy, false},
		{"error on a stream", func(w http.ResponseWriter) {
			answerEvents(w, event(`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"m"}}`))
		}, rpc.Legacy, false},
		{"401", plain(401, ""), 0, true},
		{"403", plain(403, ""), 0, true},
		{"429", plain(429, ""), 0, true},
		{"502", plain(502, ""), 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			probes := 0
			h := &script{
				discover: func(w http.ResponseWriter) {
					mu.Lock()
					probes++
					mu.Unlock()
					test.discover(w)
				},
				answer: func(w http.ResponseWriter, r received) { answerJSON(w, 200, result(r.id, `{}`)) },
			}
			s := newServer(t, remote(t, h))
			for range 3 {
				a, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
				if test.unknown != (err != nil) {
					t.Fatal(err)
				}
				if !test.unknown && mcp.IsModern(a.revision) != (test.want == rpc.Modern) {
					t.Error(a.revision)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if want := map[bool]int{false: 1, true: 3}[test.unknown]; probes != want {
				t.Errorf("%d probes, want %d", probes, want)
			}
		})
	}
}

func TestServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	cfg := config.Upstream{Name: "remote", URL: server.URL, Era: "auto"}
	server.Close()
	s := newServer(t, cfg)
	e := mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamDown)
	if !strings.Contains(e.Message, "connection refused") || strings.Contains(e.Message, "127.0.0.1") {
		t.Error(e.Message)
	}
	if s.State().Status != Down {
		t.Error(s.State().Status)
	}
}

func TestURLThatServesSomethingElse(t *testing.T) {
	t.Parallel()
	e := mustFail(t, newServer(t, remote(t, http.NotFoundHandler())), newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamFailed)
	if !strings.Contains(e.Message, "HTTP status 404") {
		t.Error(e.Message)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, cfg := range []config.Upstream{
		{Name: "x"},
		{Name: "x", Command: "a", URL: "http://b"},
		{Name: "x", URL: "ftp://b"},
		{Name: "x", URL: "http://user:password@b"},
		{Name: "x", URL: "http://b", Headers: map[string]config.Secret{"A": "x\r\ny"}},
		{Name: "x", URL: "http://b", Headers: map[string]config.Secret{"Transfer-Encoding": "chunked"}},
	} {
		_, err := New(cfg, Deps{Log: discardLog})
		if err == nil {
			t.Errorf("%+v was accepted", cfg)
		} else if strings.Contains(err.Error(), "password") {
			t.Error(err)
		}
	}
	s, err := New(config.Upstream{Name: "x", URL: "${URL}", Disabled: "URL is not set"}, Deps{Log: discardLog})
	if err != nil {
		t.Fatal(err)
	}
	if s.State().Status != Disabled {
		t.Error(s.State())
	}
	if e := mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamDown); !strings.Contains(e.Message, "URL is not set") {
		t.Error(e.Message)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSessionThatEnded(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(w http.ResponseWriter){
		"404": func(w http.ResponseWriter) { http.Error(w, "session not found", 404) },
		"404 with an error": func(w http.ResponseWriter) {
			answerJSON(w, 404, `{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}`)
		},
		"400 says session": func(w http.ResponseWriter) { http.Error(w, "Bad Request: No valid session ID provided", 400) },
		"400 with -32000": func(w http.ResponseWriter) {
			answerJSON(w, 400, `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Invalid Session"}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			sessions, valid := 0, ""
			h := &script{
				initial: func(w http.ResponseWriter, id string) {
					mu.Lock()
					defer mu.Unlock()
					sessions++
					valid = fmt.Sprint("session-", sessions)
					w.Header().Set("Mcp-Session-Id", valid)
					answerJSON(w, 200, initialized(id))
				},
				answer: func(w http.ResponseWriter, r received) {
					mu.Lock()
					defer mu.Unlock()
					if r.header.Get("Mcp-Session-Id") != valid {
						refuse(w)
						return
					}
					answerJSON(w, 200, result(r.id, `{"in":"`+valid+`"}`))
				},
			}
			s := newServer(t, remote(t, h))
			var changed []string
			s.OnNotice(func(m *rpc.Message) { changed = append(changed, m.Method) })
			mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
			mu.Lock()
			valid = "gone"
			mu.Unlock()
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					a, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
					if err != nil {
						t.Error(err)
					} else if in, _ := a.response.Text("in"); in != "session-2" {
						t.Errorf("answered in %s", in)
					}
				})
			}
			all.Wait()
			mu.Lock()
			defer mu.Unlock()
			if sessions != 2 {
				t.Errorf("%d sessions", sessions)
			}
			if !slices.Equal(changed, []string{mcp.ToolsChanged}) {
				t.Errorf("heard %v", changed)
			}
		})
	}
}

func TestSessionThatAlwaysEnds(t *testing.T) {
	t.Parallel()
	h := &script{answer: func(w http.ResponseWriter, _ received) { http.Error(w, "no such session", 404) }}
	s := newServer(t, remote(t, h))
	mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamFailed)
	if n := len(h.find("POST", "tools/call")); n != 2 {
		t.Errorf("tried %d times", n)
	}
}

func TestServersWithoutSessions(t *testing.T) {
	t.Parallel()
	h := &script{
		initial: func(w http.ResponseWriter, id string) { answerJSON(w, 200, initialized(id)) },
		answer:  func(w http.ResponseWriter, _ received) { http.Error(w, "not found", 404) },
	}
	s := newServer(t, remote(t, h))
	mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamFailed)
	if n := len(h.find("POST", "tools/call")); n != 1 {
		t.Errorf("tried %d times", n)
	}
	_ = s.Close(t.Context())
	if n := len(h.find("DELETE", "")); n != 0 {
		t.Errorf("%d DELETEs", n)
	}
}

func TestServerThatChangesItsEra(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	modern := true
	h := &script{answer: func(w http.ResponseWriter, r received) {
		mu.Lock()
		defer mu.Unlock()
		if r.header.Get("Mcp-Session-Id") == "" != modern {
			http.Error(w, "Bad Request: Server not initialized", 400)
			return
		}
		answerJSON(w, 200, result(r.id, `{}`))
	}}
	h.discover = func(w http.ResponseWriter) {
		mu.Lock()
		defer mu.Unlock()
		if modern {
			discovered(w)
		} else {
			http.Error(w, "Bad Request: Server not initialized", 400)
		}
	}
	s := newServer(t, remote(t, h))
	if a := mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`))); a.revision != mcp.LatestModern {
		t.Fatal(a.revision)
	}
	mu.Lock()
	modern = false
	mu.Unlock()
	s.links.open[linkKey{era: rpc.Modern}].link.(*modernHTTP).about.Load().at = time.Now().Add(-2 * eraPatience)
	if a := mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`))); a.revision != "2025-06-18" {
		t.Error(a.revision)
	}
}

func TestCancelOverHTTP(t *testing.T) {
	t.Parallel()
	for _, era := range []rpc.Era{rpc.Legacy, rpc.Modern} {
		for name, end := range map[string]func(r *rpc.Reply, cancel context.CancelFunc){
			"close":   func(r *rpc.Reply, _ context.CancelFunc) { r.Close() },
			"context": func(_ *rpc.Reply, cancel context.CancelFunc) { cancel() },
		} {
			t.Run(era.String()+" "+name, func(t *testing.T) {
				t.Parallel()
				left := make(chan string, 1)
				h := &script{answer: func(w http.ResponseWriter, r received) {
					answerEvents(w, ": wait\n\n")
					<-r.ctx.Done()
					left <- r.id
				}}
				if era == rpc.Modern {
					h.discover = discovered
				}
				s := newServer(t, remote(t, h))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				reply, err := s.Handle(ctx, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
				if err != nil {
					t.Fatal(err)
				}
				defer reply.Close()
				ended := make(chan error)
				go func() {
					_, err := reply.Next()
					ended <- err
				}()
				end(reply, cancel)
				if err := <-ended; err == nil || name == "context" && !errors.Is(err, context.Canceled) {
					t.Errorf("Next returned %v", err)
				}
				id := <-left
				if era == rpc.Legacy {
					eventually(t, "the server is told", func() bool {
						told := h.find("POST", mcp.Cancelled)
						return len(told) == 1 && strings.Contains(told[0].body, `"requestId":`+id+`,`)
					})
				} else if told := h.find("POST", mcp.Cancelled); len(told) != 0 {
					t.Error("a modern server was told by a notification")
				}
			})
		}
	}
}

func TestCancelBeforeTheAnswerBegins(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	h := &script{answer: func(_ http.ResponseWriter, r received) {
		close(begun)
		<-r.ctx.Done()
	}}
	s := newServer(t, remote(t, h))
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client is gone")
	go func() {
		<-begun
		cancel(gone)
	}()
	if _, err := run(ctx, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`))); !errors.Is(err, gone) {
		t.Error(err)
	}
	eventually(t, "the server is told", func() bool { return len(h.find("POST", mcp.Cancelled)) == 1 })
}

func TestSilenceOverHTTPTimesOut(t *testing.T) { // alone, because it is about time
	for name, h := range map[string]*script{
		"no header": {answer: func(_ http.ResponseWriter, r received) { <-r.ctx.Done() }},
		"no event": {answer: func(w http.ResponseWriter, r received) {
			answerEvents(w, ": wait\n\n")
			<-r.ctx.Done()
		}},
		"no response": {answer: func(w http.ResponseWriter, r received) {
			answerEvents(w, event(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}`))
			<-r.ctx.Done()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := remote(t, h)
			cfg.Timeout = 200 * time.Millisecond
			s := newServer(t, cfg)
			mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamTimeout)
			eventually(t, "the server is told", func() bool { return len(h.find("POST", mcp.Cancelled)) == 1 })
		})
	}
	t.Run("progress", func(t *testing.T) {
		cfg := remote(t, &script{answer: func(w http.ResponseWriter, r received) {
			for i := range 10 {
				time.Sleep(100 * time.Millisecond)
				answerEvents(w, event(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`, r.token, i)))
			}
			answerEvents(w, event(result(r.id, "{}")))
		}})
		cfg.Timeout = 700 * time.Millisecond
		a := mustRun(t, newServer(t, cfg), newCall(t, legacyClient(),
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":"t"}}}`))
		if len(a.before) != 10 {
			t.Errorf("%d notifications", len(a.before))
		}
	})
}

func TestMessagesThatDoNotBelongOnAStream(t *testing.T) {
	t.Parallel()
	noise := func(r received) []string {
		return []string{
			event(result("999", `{"foreign":true}`)),
			event(`{"jsonrpc":"2.0","id":"q","method":"ping"}`),
			event(`{"jsonrpc":"2.0","id":"r","method":"elicitation/create","params":{}}`),
			event(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"other","progress":1}}`),
			event(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`),
			event(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`),
			event(result(r.id, `{"n":1}`)),
			event(result(r.id, `{"n":2}`)),
		}
	}
	for name, discover := range map[string]func(http.ResponseWriter){"legacy": nil, "modern": discovered} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &script{discover: discover, answer: func(w http.ResponseWriter, r received) { answerEvents(w, noise(r)...) }}
			s := newServer(t, remote(t, h))
			heard := make(chan string, 9)
			s.OnNotice(func(m *rpc.Message) { heard <- m.Method })
			a := mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
			if string(a.response.Result) != `{"n":1}` || len(a.before) != 0 {
				t.Errorf("%s after %v", textOf(a.response), a.before)
			}
			if m := <-heard; m != mcp.ToolsChanged {
				t.Error(m)
			}
			var answers []string
			for _, r := range h.find("POST", "") {
				if strings.Contains(r.body, `"q"`) || strings.Contains(r.body, `"r"`) {
					answers = append(answers, r.body)
				}
			}
			want := []string{`{"jsonrpc":"2.0","id":"q","result":{}}`, `{"jsonrpc":"2.0","id":"r","error":{"code":-32601,"message":"the client cannot be asked this"}}`}
			if name == "modern" {
				want = nil // a server that asks breaks the protocol, and is not answered
			}
			if diff := cmp.Diff(want, answers); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestQuestionsOverHTTP(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.Handler{"sdk": sdkHandler(nil)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, remote(t, h))
			reply, err := s.Handle(t.Context(), newCall(t, asking("a"), toolCall("1", "elicit", `{"text":""}`)))
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Close()
			question, err := reply.Next()
			if err != nil || question.Method != mcp.ElicitationCreate {
				t.Fatalf("%v %v", question, err)
			}
			if err := reply.Answer(rpc.NewResult(question.ID, []byte(`{"action":"decline"}`))); err != nil {
				t.Fatal(err)
			}
			response, err := reply.Next()
			if err != nil || !strings.Contains(textOf(response), "decline") {
				t.Fatalf("%v %v", response, err)
			}
		})
	}
}

func TestEventStreamOfASession(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	opened := 0
	cut := make(chan struct{})
	h := &script{
		answer: func(w http.ResponseWriter, r received) { answerJSON(w, 200, result(r.id, `{}`)) },
		get: func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			opened++
			n := opened
			mu.Unlock()
			if r.Header.Get("Mcp-Session-Id") != "session-1" || r.Header.Get("Accept") == "" {
				w.WriteHeader(400)
				return
			}
			answerEvents(w, "retry: 10\n\n")
			if n == 1 {
				answerEvents(w, event(`{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}`), event(`{"jsonrpc":"2.0","id":9,"method":"ping"}`))
				<-cut
				return
			}
			<-r.Context().Done()
		},
	}
	s := newServer(t, remote(t, h))
	heard := make(chan string, 9)
	s.OnNotice(func(m *rpc.Message) { heard <- m.Method })
	mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
	if m := <-heard; m != mcp.PromptsChanged {
		t.Error(m)
	}
	eventually(t, "the ping is answered", func() bool {
		return slices.ContainsFunc(h.find("POST", ""), func(r received) bool { return r.body == `{"jsonrpc":"2.0","id":9,"result":{}}` })
	})
	close(cut)
	if m := <-heard; m != mcp.ToolsChanged {
		t.Errorf("after the stream was cut: %s", m)
	}
}

func TestResponseOnTheSessionsStream(t *testing.T) {
	t.Parallel()
	ready, pending := make(chan struct{}), make(chan string, 1)
	h := &script{
		answer: func(w http.ResponseWriter, r received) {
			<-ready
			pending <- r.id
			w.WriteHeader(http.StatusAccepted)
		},
		get: func(w http.ResponseWriter, r *http.Request) {
			answerEvents(w, ": open\n\n")
			close(ready)
			select {
			case id := <-pending:
				answerEvents(w, event(result(id, `{"late":true}`)))
			case <-r.Context().Done():
			}
			<-r.Context().Done()
		},
	}
	a := mustRun(t, newServer(t, remote(t, h)), newCall(t, legacyClient(), toolCall(`"me"`, "x", `{}`)))
	if textOf(a.response) != `{"jsonrpc":"2.0","id":"me","result":{"late":true}}` {
		t.Error(textOf(a.response))
	}
}

func TestManyCallersOverHTTP(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]fake.Config{"legacy": {Eras: fake.Legacy}, "modern": {Eras: fake.Modern}, "streams": {SSE: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, remote(t, fakeHandler(t, cfg)))
			var all sync.WaitGroup
			for caller := range 16 {
				all.Go(func() {
					for i := range 40 {
						want := fmt.Sprintf("caller %d call %d", caller, i)
						a, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "echo", `{"text":"`+want+`"}`)))
						if err != nil || !strings.Contains(textOf(a.response), want) {
							t.Errorf("%v %v", a, err)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}
