package mcpserver

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
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

func TestProbeOverHTTP(t *testing.T) {
	t.Parallel()
	plain := func(status int, body string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, _ string) { http.Error(w, body, status) }
	}
	failure := func(status, code int, data string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, id string) {
			answerJSON(w, status, fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":"m","data":%s}}`, id, code, data))
		}
	}
	for _, test := range []struct {
		name     string
		discover func(w http.ResponseWriter, id string)
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
		{"old result", func(w http.ResponseWriter, id string) {
			answerJSON(w, 200, result(id, `{"protocolVersion":"2025-03-26"}`))
		}, rpc.Legacy, false},
		{"old versions", func(w http.ResponseWriter, id string) {
			answerJSON(w, 200, result(id, `{"supportedVersions":["2025-03-26"]}`))
		}, rpc.Legacy, false},
		{"error on a stream", func(w http.ResponseWriter, id string) {
			answerEvents(w, event(`{"jsonrpc":"2.0","id":`+id+`,"error":{"code":-32601,"message":"m"}}`))
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
				discover: func(w http.ResponseWriter, id string) {
					mu.Lock()
					probes++
					mu.Unlock()
					test.discover(w, id)
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
			want := map[bool]int{false: 1, true: 3}[test.unknown]
			if strings.HasSuffix(test.name, "modern ones offered") {
				want = 2 // what is offered is taken up
			}
			if probes != want {
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
	h.discover = func(w http.ResponseWriter, id string) {
		mu.Lock()
		defer mu.Unlock()
		if modern {
			discovered(w, id)
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
	for name, discover := range map[string]func(http.ResponseWriter, string){"legacy": nil, "modern": discovered} {
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
