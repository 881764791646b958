package mcpserver

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/rpc/mcp"
)

// socketServer is a server that talks over WebSockets as the test says.
func socketServer(t *testing.T, talk func(c *websocket.Conn, r *http.Request)) config.Upstream {
	t.Helper()
	up := websocket.Upgrader{Subprotocols: []string{"mcp"}}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		talk(c, r)
	}))
	t.Cleanup(web.Close)
	return config.Upstream{
		Name: "files", URL: strings.Replace(web.URL, "http:", "ws:", 1), Transport: "ws", Era: "auto", Timeout: 20 * time.Second,
	}
}

// onSocket puts one of the scripted servers behind WebSockets, a process for each and a line for
// each frame, as websocketd does.
func onSocket(t *testing.T, script string) config.Upstream {
	t.Helper()
	return socketServer(t, func(c *websocket.Conn, r *http.Request) {
		cmd := exec.CommandContext(r.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), scriptVariable+"="+script, "GORACE=atexit_sleep_ms=0")
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Error(err)
			return
		}
		go func() {
			defer in.Close()
			for {
				_, text, err := c.ReadMessage()
				if err != nil {
					return
				}
				_, _ = in.Write(append(text, '\n'))
			}
		}()
		lines := frame.NewLineReader(out, 32<<20)
		for {
			line, err := lines.Next()
			if err != nil {
				break
			}
			_ = c.WriteMessage(websocket.TextMessage, line)
		}
		_ = cmd.Wait()
	})
}

// scriptedSocket answers the legacy handshake, and calls as the test says.
func scriptedSocket(t *testing.T, call func(c *websocket.Conn, id string)) config.Upstream {
	t.Helper()
	return socketServer(t, func(c *websocket.Conn, _ *http.Request) {
		for {
			_, text, err := c.ReadMessage()
			if err != nil {
				return
			}
			m, err := rpc.Parse(text, rpc.Limits{})
			switch {
			case err != nil || m.IsNotification():
			case m.Method == mcp.Initialize:
				_ = c.WriteMessage(websocket.TextMessage, []byte(initialized(m.ID.Raw())))
			case m.Method == mcp.ToolsCall:
				call(c, m.ID.Raw())
			default:
				_ = c.WriteMessage(websocket.TextMessage, []byte(`{"jsonrpc":"2.0","id":`+m.ID.Raw()+`,"error":{"code":-32601,"message":"m"}}`))
			}
		}
	})
}

func TestWebSocketSpeaksTheErasOfItsServer(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]struct {
		era            string
		legacy, modern rpc.Revision
	}{
		"sdk":         {"auto", "2025-11-25", "2026-07-28"},
		"fake-legacy": {"auto", "2025-11-25", "2025-11-25"},
		"fake-modern": {"auto", "2026-07-28", "2026-07-28"},
		"garbage":     {"auto", "2025-06-18", "2025-06-18"},
		"fragile":     {"auto", "2025-06-18", "2025-06-18"},
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, onSocket(t, script))
			tool, arguments := "echo", `{"text":"line\nend \u2028"}`
			if script == "garbage" || script == "fragile" {
				tool = "raw"
			}
			if a := mustRun(t, s, newCall(t, legacyClient(), toolCall(`"a"`, tool, arguments))); a.revision != want.legacy || a.response.Err != nil {
				t.Errorf("legacy client: %s %s", a.revision, textOf(a.response))
			}
			if a := mustRun(t, s, newCall(t, modernClient(), modernToolCall("1.0", tool, arguments))); a.revision != want.modern || a.response.Err != nil {
				t.Errorf("modern client: %s %s", a.revision, textOf(a.response))
			}
			if got := s.State(); got.Transport != "ws" || got.Status != Up {
				t.Errorf("state %+v", got)
			}
		})
	}
}

func TestCallsOverAWebSocket(t *testing.T) {
	t.Parallel()
	s := newServer(t, onSocket(t, "legacy"))
	a := mustRun(t, s, newCall(t, legacyClient(), strings.Replace(toolCall("1", "progress", `{}`), `"arguments"`, `"_meta":{"progressToken":"p"},"arguments"`, 1)))
	if len(a.before) != 3 {
		t.Errorf("%d notifications of progress", len(a.before))
	}
	big := mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "big", "3000000")))
	if n := len(textOf(big.response)); n < 3000000 {
		t.Errorf("%d bytes", n)
	}
	mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "damaged", `{}`)), rpc.UpstreamFailed)
	reply, err := s.Handle(t.Context(), newCall(t, legacyClient(), toolCall("1", "hang", `{}`)))
	if err != nil {
		t.Fatal(err)
	}
	mustRun(t, s, newCall(t, legacyClient(), toolCall("2", "raw", `{}`))) // and so the one before has been sent
	_ = reply.Close()
	eventually(t, "the call is cancelled", func() bool {
		ids, _ := mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "cancelled", `{}`))).response.Text("ids")
		return ids != ""
	})
	mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "die", `{}`)), rpc.UpstreamDown)
	mustRun(t, s, newCall(t, legacyClient(), toolCall("2", "raw", `{}`)))
}

func TestQuestionsOverAWebSocket(t *testing.T) {
	t.Parallel()
	s := newServer(t, onSocket(t, "legacy"))
	reply, err := s.Handle(t.Context(), newCall(t, asking("a"), toolCall("1", "elicit", `{}`)))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close()
	question, err := reply.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := reply.Answer(rpc.NewResult(question.ID, []byte(`{"action":"cancel"}`))); err != nil {
		t.Fatal(err)
	}
	if m, err := reply.Next(); err != nil || !strings.Contains(textOf(m), "cancel") {
		t.Errorf("%v %v", m, err)
	}
}

func TestT13_FramesThatAreNoMessages(t *testing.T) {
	t.Parallel()
	const answer = `{"jsonrpc":"2.0","id":%,"result":{}}`
	for name, test := range map[string]struct {
		kind int
		text string
		good bool // the call is answered by what follows
	}{
		"binary":       {websocket.BinaryMessage, answer, false},
		"empty":        {websocket.TextMessage, "", true},
		"batch":        {websocket.TextMessage, "[" + answer + "]", true},
		"two in one":   {websocket.TextMessage, answer + "\n" + answer, false},
		"too long":     {websocket.TextMessage, `{"jsonrpc":"2.0","id":%,"result":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`, false},
		"other's":      {websocket.TextMessage, `{"jsonrpc":"2.0","id":99,"result":{}}`, true},
		"server pings": {websocket.PingMessage, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := scriptedSocket(t, func(c *websocket.Conn, id string) {
				_ = c.WriteMessage(test.kind, []byte(strings.ReplaceAll(test.text, "%", id)))
				_ = c.WriteMessage(websocket.TextMessage, []byte(strings.ReplaceAll(answer, "%", id)))
			})
			cfg.Era = "legacy"
			s := newServer(t, cfg)
			s.dial.(*duplexDialer).connector.(*wsDialer).maxResult = 1 << 20
			if !test.good {
				mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamFailed)
			}
			for range 2 {
				if a, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "x", `{}`))); test.good && (err != nil || a.response.Err != nil) {
					t.Error(err)
				}
			}
			if n := s.State().Restarts; n != 0 {
				t.Errorf("connected again %d times", n)
			}
		})
	}
}

func TestWebSocketThatEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c *websocket.Conn){
		"by closing": func(c *websocket.Conn) {
			_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1011, "out of memory"))
		},
		"by breaking off":                func(c *websocket.Conn) { _ = c.NetConn().Close() },
		"by a frame with a reserved bit": func(c *websocket.Conn) { _, _ = c.NetConn().Write([]byte{0xF1, 0x00}) },
		"by a frame that is masked":      func(c *websocket.Conn) { _, _ = c.NetConn().Write([]byte{0x81, 0x81, 1, 2, 3, 4, 5}) },
		"by a lone continuation":         func(c *websocket.Conn) { _, _ = c.NetConn().Write([]byte{0x80, 0x00}) },
		"by an unknown opcode":           func(c *websocket.Conn) { _, _ = c.NetConn().Write([]byte{0x83, 0x00}) },
		"by a control frame in parts":    func(c *websocket.Conn) { _, _ = c.NetConn().Write([]byte{0x09, 0x00}) },
		"by a length above all": func(c *websocket.Conn) {
			_, _ = c.NetConn().Write([]byte{0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ended atomic.Bool
			cfg := scriptedSocket(t, func(c *websocket.Conn, id string) {
				if !ended.Swap(true) {
					end(c)
					return
				}
				_ = c.WriteMessage(websocket.TextMessage, []byte(result(id, `{}`)))
			})
			cfg.Era = "legacy"
			s := newServer(t, cfg)
			e := mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamDown)
			if name == "by closing" && !strings.Contains(e.Message, "1011: \"out of memory\"") {
				t.Error(e.Message)
			}
			mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
		})
	}
}

func TestWebSocketHandshakeThatFails(t *testing.T) {
	t.Parallel()
	plain := func(status int) config.Upstream {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(web.Close)
		return config.Upstream{Name: "files", URL: web.URL, Transport: "ws", Era: "auto"}
	}
	e := mustFail(t, newServer(t, plain(401)), newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamFailed)
	if !strings.Contains(e.Message, "401") || !strings.Contains(e.Message, "credentials") {
		t.Error(e.Message)
	}
	mustFail(t, newServer(t, plain(200)), newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamFailed)
	gone := config.Upstream{Name: "files", URL: "ws://127.0.0.1:1/", Transport: "ws", Era: "auto"}
	mustFail(t, newServer(t, gone), newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamDown)
}

func TestWebSocketCarriesTheConfiguredHeaders(t *testing.T) {
	t.Parallel()
	heard := make(chan http.Header, 9)
	cfg := socketServer(t, func(_ *websocket.Conn, r *http.Request) { heard <- r.Header })
	cfg.Headers = map[string]config.Secret{"Authorization": config.Secret("Bearer t")}
	s := newServer(t, cfg)
	_, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
	if _, ok := errors.AsType[*rpc.Error](err); !ok {
		t.Errorf("%v", err)
	}
	h := <-heard
	if h.Get("Authorization") != "Bearer t" || h.Get("User-Agent") != "headgate/test" || h.Get("Sec-Websocket-Extensions") != "" || h.Get("Sec-Websocket-Protocol") != "mcp" {
		t.Errorf("%v", h)
	}
}
