package edge_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// inferSocket opens a WebSocket of the inference dialect, whose client closes it at the end of the test.
func (g *gate) inferSocket(header ...string) *talk {
	g.tb.Helper()
	conn, resp, err := g.tryInferSocket(header...)
	if err != nil {
		g.tb.Fatalf("dial: %v (%v)", err, resp)
	}
	g.tb.Cleanup(func() { _ = conn.Close() })
	return &talk{g.tb, conn}
}

func (g *gate) tryInferSocket(header ...string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	d := websocket.Dialer{Subprotocols: []string{"other", "jsonrpc"}, NetDialContext: g.client.Transport.(*http.Transport).DialContext}
	conn, resp, err := d.DialContext(g.tb.Context(), "ws://"+g.addr+infer.Path, h)
	if resp != nil {
		_ = resp.Body.Close()
	}
	return conn, resp, err
}

// expect sends a message, if there is one, and compares what comes.
func (c *talk) expect(send string, want ...string) {
	c.tb.Helper()
	if send != "" {
		c.say(send)
	}
	for _, w := range want {
		if got := c.hear(); got != w {
			c.tb.Errorf("%s\n got %s\nwant %s", send, got, w)
		}
	}
}

// refused sends a message and expects an error for it.
func (c *talk) refused(send, id string, code int64) {
	c.tb.Helper()
	c.say(send)
	text := c.hear()
	if f := failureOf(c.tb, text); string(f.ID) != id || codeOf(c.tb, text) != code || f.Error.Data["request_id"] == "" {
		c.tb.Errorf("%s\n got %s", send, text)
	}
}

func TestInferSocketAnswers(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: newInferring().handle})
	c := g.inferSocket()
	if got := c.conn.Subprotocol(); got != "jsonrpc" {
		t.Errorf("subprotocol %q", got)
	}
	c.expect(invoke(`"\u0061"`, "x", false), `{"id":"\u0061","result":{"method":"invoke"}}`)
	c.expect(`{"jsonrpc":"2.0","id":1,"method":"status"}`, `{"jsonrpc":"2.0","id":1,"result":{"method":"status"}}`)
	c.expect(invoke("1", "chunks", true), `{"id":1,`+chunkA, `{"id":1,`+chunkB, `{"id":1,`+settled, `{"id":1,"done":true}`)
	c.expect(invoke("1", "bare", true), `{"id":1,`+chunkA, `{"id":1,`+chunkB, `{"id":1,"done":true}`)
	c.expect(`{"id":2,"method":"logs"}`, `{"id":2,"result":{"entry":{"level":"info"}}}`, `{"id":2,"done":true}`)
	c.expect(invoke("3", "breaks", true), `{"id":3,`+chunkA)
	if text := c.hear(); codeOf(t, text) != -32007 {
		t.Error(text)
	}
	c.say(`{"method":"heartbeat"}`)
	c.say(`{"id":4,"error":{"code":1,"message":"an error that answers nothing"}}`)
	c.refused(invoke("5", "fails", true), "5", -32005) // and nothing before it
	c.refused("{", "null", -32700)
	c.refused("["+invoke("1", "x", false)+"]", "null", -32600)
	c.refused(`{"id":1,"result":{}}`, "1", -32600)
	c.refused(`{"method":"invoke"}`, "null", -32600)
	c.refused(`{"id":true,"method":"ping"}`, "null", -32600)
}

func TestInferSocketCancels(t *testing.T) {
	t.Parallel()
	i := newInferring()
	g := open(t, setup{handle: i.handle})
	c := g.inferSocket()
	c.expect(invoke(`"a"`, "waits", true), `{"id":"a",`+chunkA)
	c.refused(invoke(`"\u0061"`, "x", false), `"\u0061"`, -32600)
	g.inferSocket().expect(`{"id":1,"method":"cancel","params":{"id":"a"}}`, `{"id":1,"result":{"cancelled":false}}`)
	c.expect(`{"id":"c","method":"cancel","params":{"id":"c"}}`, `{"id":"c","result":{"cancelled":false}}`)
	c.say(`{"method":"cancel","params":{"id":"a"}}`)
	if text := c.hear(); codeOf(t, text) != -32009 || string(failureOf(t, text).ID) != `"a"` {
		t.Error(text)
	}
	c.expect(invoke(`"a"`, "waits", true), `{"id":"a",`+chunkA)
	_ = c.conn.Close()
	<-i.ended
	<-i.ended // the call of a client that has gone
}

func TestInferSocketSession(t *testing.T) {
	t.Parallel()
	i := newInferring()
	g := open(t, setup{handle: i.handle})
	ann := []string{"X-User", "ann"}
	c := g.inferSocket(ann...)
	c.say(`{"id":1,"method":"initialize","params":{"clientInfo":{"name":"t"}}}`)
	text := c.hear()
	var opened struct{ Result struct{ SessionID string } }
	if json.Unmarshal([]byte(text), &opened) != nil || opened.Result.SessionID == "" {
		t.Fatal(text)
	}
	id := opened.Result.SessionID
	key := func(c *talk) string {
		c.expect(invoke("1", "x", false), `{"id":1,"result":{"method":"invoke"}}`)
		return (<-i.began).Client.Session
	}
	first := key(c)
	taken := `{"id":1,"result":{"models":[],"sessionId":"` + id + `"}}`
	c.expect(`{"id":1,"method":"initialize"}`, taken)
	if err := c.conn.Close(); err != nil {
		t.Fatal(err)
	}
	byHeader := g.inferSocket("X-User", "ann", "Mcp-Session-Id", id)
	byParams := g.inferSocket(ann...)
	byParams.expect(`{"id":1,"method":"initialize","params":{"sessionId":"`+id+`"}}`, taken)
	byHeader.expect(`{"id":1,"method":"initialize"}`, taken)
	if a, b := key(byHeader), key(byParams); first == "" || a != first || b != first {
		t.Errorf("sessions %q, %q and %q", first, a, b)
	}
	byHeader.expect(invoke("1", "waits", true), `{"id":1,`+chunkA)
	<-i.began
	byParams.refused(invoke("1", "x", false), "1", -32600) // ids are those of a session
	byParams.expect(`{"id":2,"method":"cancel","params":{"id":1}}`, `{"id":2,"result":{"cancelled":true}}`)
	if text := byHeader.hear(); codeOf(t, text) != -32009 {
		t.Error(text)
	}
	other := g.do("POST", `{"id":1,"method":"initialize"}`, at(ann...)...).header.Get("Mcp-Session-Id")
	byParams.refused(`{"id":1,"method":"initialize","params":{"sessionId":"`+other+`"}}`, "1", -32600)

	bob := g.inferSocket("X-User", "bob")
	bob.refused(`{"id":1,"method":"initialize","params":{"sessionId":"`+id+`"}}`, "1", -32600)
	if got := key(bob); got != "" {
		t.Errorf("the session of somebody else was taken up: %s", got)
	}
	for name, header := range map[string][]string{"somebody else": {"X-User", "bob", "Mcp-Session-Id", id}, "unknown": {"X-User", "ann", "Mcp-Session-Id", id + "x"}} {
		if _, resp, err := g.tryInferSocket(header...); err == nil || resp == nil || resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %v %v", name, err, resp)
		}
	}
}

func TestInferSocketBounds(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: newInferring().handle, edge: edge.Config{Body: 5 << 20}})
	c := g.inferSocket()
	c.expect(invoke("1", strings.Repeat("x", 9<<19), false), `{"id":1,"result":{"method":"invoke"}}`)
	w, err := c.conn.NextWriter(websocket.TextMessage)
	for range 6 {
		if err == nil {
			_, err = w.Write(make([]byte, 1<<20)) // a fragment
		}
	}
	if err == nil {
		_ = w.Close()
	}
	if got := c.closed(); got != websocket.CloseMessageTooBig {
		t.Errorf("closed with %d", got)
	}
}

// TestInferSocketExpires ends with the credential, and with one that was withdrawn.
func TestInferSocketExpires(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(began time.Time) func(c *rpc.Call) error{
		"expired": func(began time.Time) func(c *rpc.Call) error {
			return func(c *rpc.Call) error {
				c.Principal.Expires = began.Add(25 * time.Second)
				return nil
			}
		},
		"withdrawn": func(began time.Time) func(c *rpc.Call) error {
			return func(*rpc.Call) error {
				if time.Since(began) > 25*time.Second {
					return rpc.Errorf(rpc.Unauthenticated, "no such key")
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := open(t, setup{handle: newInferring().handle, refuse: refuse(time.Now()), memory: true})
				c := g.inferSocket()
				c.expect(invoke("1", "waits", true), `{"id":1,`+chunkA)
				if got := c.closed(); got != 4401 {
					t.Errorf("closed with %d", got)
				}
			})
		})
	}
}

// TestInferSocketPings asks a client that is silent whether it is there.
func TestInferSocketPings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		after := func(want time.Duration) {
			t.Helper()
			if got := time.Since(began); got != want {
				t.Errorf("after %v, want %v", got, want)
			}
			began = time.Now()
		}
		g := open(t, setup{handle: newInferring().handle, memory: true})
		c := g.inferSocket()
		c.expect("", `{"id":1,"method":"ping"}`)
		after(20 * time.Second)
		time.Sleep(9 * time.Second)
		c.say(`{"id":1,"result":{}}`)
		c.expect("", `{"id":2,"method":"ping"}`)
		after(29 * time.Second)
		c.expect(`{"jsonrpc":"2.0","id":1,"method":"status"}`, `{"jsonrpc":"2.0","id":1,"result":{"method":"status"}}`) // answers it too
		c.expect("", `{"jsonrpc":"2.0","id":3,"method":"ping"}`)
		after(20 * time.Second)
		if got := c.closed(); got != websocket.CloseGoingAway {
			t.Errorf("closed with %d", got)
		}
		after(10 * time.Second)
	})
}

// TestInferSocketWaits does not ask a client that waits for its answer.
func TestInferSocketWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newInferring()
		g := open(t, setup{handle: i.handle, memory: true})
		c := g.inferSocket()
		c.expect(invoke(`"a"`, "waits", true), `{"id":"a",`+chunkA)
		var stop rpc.Stopper
		time.AfterFunc(5*time.Minute, func() { stop.Stop(rpc.Errorf(rpc.Stopped, "an operator ended the call")) })
		stop = (<-i.began).Stopper
		began := time.Now()
		if text := c.hear(); codeOf(t, text) != -32009 {
			t.Error(text)
		}
		c.expect("", `{"id":1,"method":"ping"}`)
		if got := time.Since(began); got > 5*time.Minute+20*time.Second {
			t.Errorf("asked after %v", got)
		}
	})
}

// TestInferSocketDrains lets calls end that are in flight, and refuses new ones.
func TestInferSocketDrains(t *testing.T) {
	t.Parallel()
	i := newInferring()
	g := open(t, setup{handle: i.handle})
	c, idle := g.inferSocket(), g.inferSocket()
	idle.expect(`{"id":1,"method":"status"}`, `{"id":1,"result":{"method":"status"}}`)
	c.expect(invoke("1", "waits", true), `{"id":1,`+chunkA)
	drain, giveUp := context.WithCancel(t.Context())
	closed := make(chan error, 1)
	go func() { closed <- g.handler.(*edge.Edge).Close(drain) }()
	if got := idle.closed(); got != websocket.CloseGoingAway {
		t.Errorf("an idle socket: closed with %d", got)
	}
	c.refused(invoke("2", "x", false), "2", -32005)
	giveUp()
	if text := c.hear(); codeOf(t, text) != -32005 {
		t.Errorf("a call that was given up: %s", text)
	}
	if got := c.closed(); got != websocket.CloseGoingAway {
		t.Errorf("closed with %d", got)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
