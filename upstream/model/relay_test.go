package model_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// gateway is a scripted gateway behind this one, over HTTP and WebSocket. It answers as many lines for a request as there are in
// answers, with the id of the request in place of ID; the socket stays open.
type gateway struct {
	answers  string
	status   int
	requests chan string
	sockets  atomic.Int64
	ended    chan struct{} // has one for each socket that ended
}

func (g *gateway) start(t *testing.T) (url string) {
	t.Helper()
	g.requests, g.ended = make(chan string, 64), make(chan struct{}, 64)
	return mux(t, map[string]http.HandlerFunc{"/rpc": func(w http.ResponseWriter, r *http.Request) {
		if websocket.IsWebSocketUpgrade(r) {
			g.converse(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		g.requests <- string(body)
		text, lines := g.answer(body)
		w.Header().Set("Content-Type", "application/json")
		if lines && strings.Contains(r.Header.Get("Accept"), typeLines) && g.status == 0 {
			w.Header().Set("Content-Type", typeLines)
		}
		if g.status != 0 {
			w.WriteHeader(g.status)
		}
		_, _ = io.WriteString(w, text)
	}})
}

func (g *gateway) answer(request []byte) (text string, stream bool) {
	var m struct {
		ID     json.RawMessage
		Params struct{ Stream bool }
	}
	_ = json.Unmarshal(request, &m)
	return strings.ReplaceAll(g.answers, "ID", string(m.ID)), m.Params.Stream
}

func (g *gateway) converse(w http.ResponseWriter, r *http.Request) {
	conn, err := (&websocket.Upgrader{Subprotocols: []string{"jsonrpc"}}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	g.sockets.Add(1)
	defer func() { g.ended <- struct{}{} }()
	defer conn.Close()
	for {
		_, body, err := conn.ReadMessage()
		if err != nil {
			return
		}
		g.requests <- string(body)
		if strings.Contains(string(body), `"cancel"`) {
			continue
		}
		text, _ := g.answer(body)
		for line := range strings.Lines(text) {
			if conn.WriteMessage(websocket.TextMessage, []byte(line)) != nil {
				return
			}
		}
	}
}

// both are the ways to a gateway.
var both = map[string]func(url string) config.ModelBackend{
	"http": func(url string) config.ModelBackend { return config.ModelBackend{Kind: "rpc", URL: url + "/rpc"} },
	"ws": func(url string) config.ModelBackend {
		return config.ModelBackend{Kind: "rpc", URL: "ws" + strings.TrimPrefix(url, "http") + "/rpc"}
	},
	"http without a path": func(url string) config.ModelBackend { return config.ModelBackend{Kind: "rpc", URL: url} },
}

// What a client says beside params is the next gateway's as well.
func TestRelayPassesOnWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, way := range both {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := gateway{answers: `{"id":ID,"result":{"model":"m","output":"","finish_reason":"stop","usage":{}}}`}
			b := backend(t, way(g.start(t)))
			c := invoke(t, `{"model":"default","prompt":"a"}`)
			var err error
			if c.Message, err = rpc.Parse(
				[]byte(`{"top":{"level":1.0},"id":"c-1","method":"invoke","params":{"model":"default","prompt":"a","x":[ 1 ]},"y":null}`), rpc.Limits{Dialect: rpc.Infer},
			); err != nil {
				t.Fatal(err)
			}
			if got := ask(t.Context(), t, b, c); got.Err != nil {
				t.Fatal(got.Err)
			}
			const want = `{"top":{"level":1.0},"id":1,"method":"invoke","params":{"model":"sim","prompt":"a","x":[ 1 ]},"y":null}`
			if got := <-g.requests; got != want {
				t.Errorf("sent %s, want %s", got, want)
			}
		})
	}
}

func TestRelayAnswersAtOnce(t *testing.T) {
	t.Parallel()
	for name, way := range both {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := gateway{answers: `{"jsonrpc":"2.0","id":ID,"result":{"model":"org/m","output":"A\u0042","x":1.0,"finish_reason":"stop",` +
				`"usage":{"input_tokens":3,"output_tokens":4,"cached_tokens":1,"estimated":true,"y":2}}}`}
			b := backend(t, way(g.start(t)))
			for range 3 {
				got := ask(t.Context(), t, b, invoke(t, `{"model":"default","prompt":"a","x":1e400}`))
				want := `{"model":"big","output":"A\u0042","x":1.0,"finish_reason":"stop","usage":{"input_tokens":3,"output_tokens":4,"cached_tokens":1,"estimated":true,"y":2}}`
				if got.Result != want {
					t.Errorf("%s\nwant %s, %v", got.Result, want, got.Err)
				}
				if want := (rpc.Usage{Input: 3, Output: 4, Cached: 1, Estimated: true}); got.Usage != want {
					t.Errorf("usage %+v", got.Usage)
				}
			}
			for id := range 3 {
				if got, want := <-g.requests, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"invoke","params":{"model":"sim","prompt":"a","x":1e400}}`, id+1); got != want {
					t.Errorf("sent %s, want %s", got, want)
				}
			}
			if n := g.sockets.Load(); n > 1 {
				t.Errorf("%d sockets for one call at a time", n)
			}
		})
	}
}

func TestRelayStreams(t *testing.T) {
	t.Parallel()
	for name, way := range both {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := gateway{answers: `{"jsonrpc":"2.0","id":ID,"result":{"chunk":{"text":"A\u0042","new":1.0}}}
{"id":ID,"result":{"chunk":{"text":"C","index":1}}}
{"id":ID,"result":{"usage":{"input_tokens":3,"output_tokens":0},"finish_reason":"stop","context":[1]}}
{"id":ID,"done":true}
`}
			b := backend(t, way(g.start(t)))
			for range 2 {
				got := ask(t.Context(), t, b, invoke(t, `{"model":"default","prompt":"a","stream":true}`))
				if diff := cmp.Diff([]string{`{"text":"A\u0042","new":1.0}`, `{"text":"C","index":1}`}, got.Chunks); diff != "" {
					t.Errorf("chunks (-want +got):\n%s", diff)
				}
				if want := `{"usage":{"input_tokens":3,"output_tokens":0},"finish_reason":"stop","context":[1]}`; got.Result != want {
					t.Errorf("%s, %v", got.Result, got.Err)
				}
			}
			if n := g.sockets.Load(); n > 1 {
				t.Errorf("%d sockets for one call at a time", n)
			}
		})
	}
}

func TestRelayErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		wire   string
		code   rpc.Code
		says   string
		after  time.Duration
		notRun bool
	}{
		"params":    {`{"code":-32602,"message":"params.n must be small"}`, rpc.InvalidParams, "params.n must be small", 0, false},
		"no entry":  {`{"code":-32000,"message":"unknown key"}`, rpc.UpstreamFailed, "credentials", 0, false},
		"forbidden": {`{"code":-32001,"message":"not for team x"}`, rpc.UpstreamFailed, "credentials", 0, false},
		"rate":      {`{"code":-32002,"message":"slow","data":{"reason":"rate_limited","retry_after_ms":1500}}`, rpc.Overloaded, "no more requests", 1500 * time.Millisecond, true},
		"budget":    {`{"code":-32003,"message":"org acme is out","data":{"retry_after_ms":99999999}}`, rpc.Overloaded, "no budget left", time.Hour, false},
		"slots":     {`{"code":-32004,"message":"slow"}`, rpc.Overloaded, "no more requests", 0, true},
		"queue":     {`{"code":-32005,"message":"full"}`, rpc.Overloaded, "no more requests", 0, true},
		"down":      {`{"code":-32006,"message":"no backend","data":{"retry_after_ms":2000}}`, rpc.UpstreamDown, "nobody to serve it", 2 * time.Second, true},
		"failed":    {`{"code":-32007,"message":"the backend of model \"m\" broke off"}`, rpc.UpstreamFailed, `the backend of model "m" broke off`, 0, false},
		"late":      {`{"code":-32008,"message":"late"}`, rpc.UpstreamTimeout, "in time", 0, false},
		"cancelled": {`{"code":-32009,"message":"cancelled"}`, rpc.UpstreamFailed, "reported an error", 0, false},
		"state":     {`{"code":-32011,"message":"no state"}`, rpc.UpstreamDown, "nobody to serve it", 0, true},
		"internal":  {`{"code":-32603,"message":"panic at x.go:7"}`, rpc.UpstreamFailed, "reported an error", 0, false},
		"unheard":   {`{"code":-1,"message":"panic at x.go:7"}`, rpc.UpstreamFailed, "reported an error", 0, false},
	} {
		for way, cfg := range both {
			for _, stream := range []string{"false", "true"} {
				t.Run(name+" "+way+" "+stream, func(t *testing.T) {
					t.Parallel()
					g := gateway{answers: `{"id":ID,"error":` + tt.wire + "}\n"}
					if stream == "false" {
						g.status = http.StatusTeapot // the body counts
					}
					b := backend(t, cfg(g.start(t)))
					for range 2 {
						got := ask(t.Context(), t, b, invoke(t, `{"model":"default","prompt":"a","stream":`+stream+`}`))
						check(t, got, tt.code, tt.says)
						if got.Err.RetryAfter != tt.after || got.Err.NotRun != tt.notRun || strings.Contains(got.Err.Message, "x.go") {
							t.Errorf("%+v", got.Err)
						}
					}
				})
			}
		}
	}
}

// An error can come as a message of its own where a stream was asked for.
func TestRelayErrorInsteadOfAStream(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, script{kind: "application/json", body: `{"id":1,"error":{"code":-32004,"message":"slow"}}`})
	b := backend(t, both["http"](url))
	check(t, ask(t.Context(), t, b, invoke(t, `{"model":"default","prompt":"a","stream":true}`)), rpc.Overloaded, "no more requests")
}

// A cancel is passed on, and ends the socket: what may still come for the call is no other one's.
func TestRelayCancelsOverASocket(t *testing.T) {
	t.Parallel()
	g := gateway{answers: `{"id":ID,"result":{"chunk":{"text":"A"}}}` + "\n"}
	b := backend(t, both["ws"](g.start(t)))
	c := invoke(t, `{"model":"default","prompt":"a","stream":true}`)
	reply, err := b.Handle(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reply.Next(); err != nil {
		t.Fatal(err)
	}
	_ = reply.Close()
	<-g.requests
	if got, want := <-g.requests, `{"jsonrpc":"2.0","method":"cancel","params":{"id":1}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	<-g.ended
	if got := c.Record.Usage(); got.Output < 1 || !got.Estimated {
		t.Errorf("usage %+v", got)
	}
}

// A socket that has ended while it had no call is not taken for one.
func TestRelayTakesAnotherSocket(t *testing.T) {
	t.Parallel()
	url := mux(t, map[string]http.HandlerFunc{"/rpc": func(w http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		var m struct{ ID json.RawMessage }
		if conn.ReadJSON(&m) == nil {
			_ = conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"id":%s,"result":{"output":"A"}}`, m.ID))
		}
	}})
	b := backend(t, both["ws"](url))
	for range 5 {
		got := ask(t.Context(), t, b, invoke(t, `{"model":"default","prompt":"a"}`))
		if got.Err != nil && !strings.Contains(got.Err.Message, "closed the connection") {
			t.Error(got.Err) // it may end when it has the call already: then that is repeated elsewhere
		}
	}
}

// Pings are answered also while nobody reads the answer, and are no part of it.
func TestRelayAnswersPings(t *testing.T) {
	t.Parallel()
	pong := make(chan string, 1)
	url := mux(t, map[string]http.HandlerFunc{"/rpc": func(w http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		_, _, _ = conn.ReadMessage()
		_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"jsonrpc":"2.0","id":"p","method":"ping","params":{"nonce":"n\u0031"}}`))
		_, text, _ := conn.ReadMessage()
		pong <- string(text)
		_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"id":1,"result":{"output":"A"}}`))
		_, _, _ = conn.ReadMessage()
	}})
	got := ask(t.Context(), t, backend(t, both["ws"](url)), invoke(t, `{"model":"default","prompt":"a"}`))
	if got.member(t, "output") != `"A"` {
		t.Errorf("%+v", got)
	}
	if text := <-pong; !strings.HasPrefix(text, `{"jsonrpc":"2.0","id":"p","result":{"nonce":"n\u0031","time":"`) {
		t.Error(text)
	}
}

func TestRelayBrokenSockets(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		kind       int
		text, says string
	}{
		"ends":        {0, "", "closed the connection"},
		"binary":      {websocket.BinaryMessage, "{}", "closed the connection"},
		"garbage":     {websocket.TextMessage, "{", "cannot be read"},
		"too long":    {websocket.TextMessage, strings.Repeat(" ", 1<<20), "size limit"},
		"another one": {websocket.TextMessage, `{"id":9,"result":{}}`, "something else"},
	} {
		for _, stream := range []string{"false", "true"} {
			t.Run(name+" "+stream, func(t *testing.T) {
				t.Parallel()
				url := mux(t, map[string]http.HandlerFunc{"/rpc": func(w http.ResponseWriter, r *http.Request) {
					conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
					if err != nil {
						return
					}
					defer conn.Close()
					_, _, _ = conn.ReadMessage()
					if tt.kind != 0 {
						_ = conn.WriteMessage(tt.kind, []byte(tt.text))
						_, _, _ = conn.ReadMessage()
					}
				}})
				b := backendOf(t, both["ws"](url), small)
				check(t, ask(t.Context(), t, b, invoke(t, `{"model":"default","prompt":"a","stream":`+stream+`}`)), rpc.UpstreamFailed, tt.says)
			})
		}
	}
	t.Run("refuses", func(t *testing.T) {
		t.Parallel()
		url, _ := serve(t, script{status: 401})
		check(t, ask(t.Context(), t, backend(t, both["ws"](url)), invoke(t, `{"model":"default","prompt":"a"}`)), rpc.UpstreamFailed, "credentials")
	})
}

func TestRelayProbe(t *testing.T) {
	t.Parallel()
	for name, way := range both {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for status, well := range map[string]bool{"ok": true, "degraded": true, "unavailable": false} {
				g := gateway{answers: `{"id":ID,"result":{"status":"` + status + `"}}`}
				if err := backend(t, way(g.start(t))).Probe(t.Context()); (err == nil) != well {
					t.Errorf("%s: %v", status, err)
				}
			}
			g := gateway{answers: `{"id":ID,"result":{"models":[{"name":"a"},{"name":"b","x":1},{}]}}`}
			b := backend(t, way(g.start(t)))
			names, err := b.(lister).Models(t.Context())
			if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" || err != nil {
				t.Errorf("%v, models %s", err, diff)
			}
			if err := b.Warm(t.Context(), "org/m"); err != nil {
				t.Error(err)
			}
			if got, want := <-g.requests, `{"jsonrpc":"2.0","id":1,"method":"status"}`; got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if got, want := <-g.requests, `{"jsonrpc":"2.0","id":2,"method":"invoke","params":{"model":"org/m","prompt":"hi","max_tokens":1}}`; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}
