package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// talk is a client of a connection that carries many messages.
type talk struct {
	tb   testing.TB
	conn *websocket.Conn
}

// socket opens a WebSocket, whose client closes it at the end of the test.
func (g *gate) socket(header ...string) *talk {
	g.tb.Helper()
	conn, resp, err := g.tryDial(header...)
	if err != nil {
		g.tb.Fatalf("dial: %v (%v)", err, resp)
	}
	g.tb.Cleanup(func() { _ = conn.Close() })
	return &talk{g.tb, conn}
}

func (g *gate) tryDial(header ...string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	d := websocket.Dialer{Subprotocols: []string{"mcp"}, EnableCompression: true, NetDialContext: g.client.Transport.(*http.Transport).DialContext}
	conn, resp, err := d.DialContext(g.tb.Context(), "ws"+strings.TrimPrefix(g.url, "http"), h)
	if resp != nil {
		_ = resp.Body.Close()
	}
	return conn, resp, err
}

func (c *talk) say(text string) {
	c.tb.Helper()
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *talk) hear() string {
	c.tb.Helper()
	kind, text, err := c.conn.ReadMessage()
	if err != nil || kind != websocket.TextMessage {
		c.tb.Fatalf("read: kind %d, %v", kind, err)
	}
	return string(text)
}

// closed reads until the connection ends, and returns the close code.
func (c *talk) closed() int {
	c.tb.Helper()
	for {
		_, text, err := c.conn.ReadMessage()
		var closing *websocket.CloseError
		switch {
		case errors.As(err, &closing):
			return closing.Code
		case err != nil:
			c.tb.Fatalf("the connection ended without a close frame: %v", err)
		}
		c.tb.Logf("before the end: %s", text)
	}
}

func (c *talk) initialize() {
	c.tb.Helper()
	c.say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}}}}`)
	if got, want := c.hear(), `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25"}}`; got != want {
		c.tb.Fatalf("initialize: %s", got)
	}
	c.say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

// modernly is a modern request without the headers that mirror it over HTTP.
func modernly(id, method string) string {
	text, _ := modern(id, method, "")
	return text
}

func TestWebSocketSpeaksBothEras(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if !c.Bare {
			t.Error("the call does not say that no header mirrors it")
		}
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"era":"`+c.Client.Era.String()+`"}`))), nil
	}})
	c := g.socket()
	if got := c.conn.Subprotocol(); got != "mcp" {
		t.Errorf("subprotocol %q", got)
	}
	ask := func(text, want string) {
		t.Helper()
		c.say(text)
		if got := c.hear(); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	ask(modernly(`"m"`, "tools/list"), `{"jsonrpc":"2.0","id":"m","result":{"era":"modern"}}`)
	c.say(request("1", "tools/list"))
	if got := codeOf(t, c.hear()); got != -32600 {
		t.Errorf("a legacy request before initialize: code %d", got)
	}
	c.initialize()
	ask(request("1", "tools/list"), `{"jsonrpc":"2.0","id":1,"result":{"era":"legacy"}}`)
	ask(modernly("1", "tools/list"), `{"jsonrpc":"2.0","id":1,"result":{"era":"modern"}}`)
	c.say(`{"jsonrpc":"2.0","id":9,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`)
	if got := codeOf(t, c.hear()); got != -32600 {
		t.Errorf("a second initialize: code %d", got)
	}
}

func TestWebSocketRefusesWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	c := g.socket()
	for text, want := range map[string]int64{
		"nonsense":                        -32700,
		`{"jsonrpc":"1.0","id":1}`:        -32600,
		`{"jsonrpc":"2.0","id":1,"id":2}`: -32600,
		"[" + request("1", "ping") + "]":  -32600,
		strings.ReplaceAll(modernly("1", "tools/list"), modernRevision, "2099-01-01"): -32022,
	} {
		c.say(text)
		if got := codeOf(t, c.hear()); got != want {
			t.Errorf("%s: code %d, want %d", text, got, want)
		}
	}
}

// The upgrade itself is refused, so that a page of another origin has no connection
// at all.
func TestT13_WebSocketUpgradePassesThePolicies(t *testing.T) {
	t.Parallel()
	g := open(t, setup{refuse: func(c *rpc.Call) error {
		if c.Header.Get("Origin") == "https://evil.example" {
			return rpc.Errorf(rpc.OriginRefused, "origin is not allowed")
		}
		return nil
	}})
	conn, resp, err := g.tryDial("Origin", "https://evil.example")
	if err == nil {
		_ = conn.Close()
		t.Fatal("connected")
	}
	if resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("answer %v, want 403", resp)
	}
	a := g.do("GET", "", "Connection", "Upgrade", "Upgrade", "websocket")
	if a.status != http.StatusBadRequest {
		t.Errorf("an upgrade without a key: %d %s", a.status, a.body)
	}
}

func TestWebSocketRelaysQuestionsProgressAndCancel(t *testing.T) {
	t.Parallel()
	cancelled := make(chan string, 2)
	g := open(t, setup{handle: func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		switch c.Message.Method {
		case "tools/list":
			return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{}`))), nil
		case "prompts/get":
			<-ctx.Done()
			cancelled <- c.Client.Era.String()
			return nil, context.Cause(ctx)
		}
		messages, answers := make(chan *rpc.Message, 3), make(chan *rpc.Message, 1)
		messages <- rpc.NewNotification(mcp.Progress, []byte(`{"progressToken":1,"progress":1}`))
		messages <- rpc.NewRequest(rpc.StringID("q"), "elicitation/create", []byte(`{}`))
		id := c.Message.ID
		go func() {
			select {
			case a := <-answers:
				messages <- rpc.NewResult(id, a.Result)
			case <-ctx.Done():
			}
		}()
		return rpc.NewReply(play(ctx, messages, answers)), nil
	}})
	c := g.socket()
	c.initialize()
	c.say(request("5", "tools/call"))
	if got := c.hear(); !strings.Contains(got, mcp.Progress) {
		t.Fatalf("first message %s", got)
	}
	question := failureOf(t, c.hear())
	c.say(`{"jsonrpc":"2.0","id":` + string(question.ID) + `,"result":{"action":"accept"}}`)
	if got, want := c.hear(), `{"jsonrpc":"2.0","id":5,"result":{"action":"accept"}}`; got != want {
		t.Errorf("response %s, want %s", got, want)
	}
	for _, text := range []string{request("6", "prompts/get"), modernly("7", "prompts/get")} {
		c.say(text)
	}
	c.say(modernly("7", "tools/list"))
	if got := codeOf(t, c.hear()); got != -32600 {
		t.Errorf("an id that is in flight: code %d", got)
	}
	for _, id := range []string{"6", "7"} {
		c.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `}}`)
		<-cancelled
	}
	c.say(request("8", "tools/list"))
	if got := failureOf(t, c.hear()); string(got.ID) != "8" {
		t.Errorf("something was said of a cancelled request: %v", got)
	}
}

func TestWebSocketEndsWithItsSession(t *testing.T) {
	t.Parallel()
	begun, left := make(chan struct{}), make(chan error, 1)
	ended := make(chan string, 1)
	g := open(t, setup{handle: func(ctx context.Context, _ *rpc.Call) (*rpc.Reply, error) {
		close(begun)
		<-ctx.Done()
		left <- context.Cause(ctx)
		return nil, context.Cause(ctx)
	}})
	g.sessions.OnEnd(func(key string) { ended <- key })
	c := g.socket()
	c.initialize()
	c.say(request("1", "tools/call"))
	<-begun
	_ = c.conn.Close()
	if err := <-left; rpc.AsError(err).Code != rpc.Cancelled {
		t.Errorf("the call ended by %v", err)
	}
	<-ended
}

func TestWebSocketCarriesNotices(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	c := g.socket()
	c.initialize()
	c.say(request("1", "ping"))
	c.hear()
	g.sessions.Broadcast(func(string) bool { return true }, rpc.NewNotification(mcp.ToolsChanged, nil))
	if got := c.hear(); !strings.Contains(got, mcp.ToolsChanged) {
		t.Errorf("heard %s", got)
	}
}

// Corner cases of threat T13: a corpus of frames as no library sends them.
func TestT13_WebSocketFrames(t *testing.T) {
	t.Parallel()
	const text, binaryFrame, ping, final = 1, 2, 9, 0x80
	const unsaid = -1
	ask := request("1", "ping")
	tests := map[string]struct {
		frames []byte
		code   int // of the close frame; 0 if the request is answered, unsaid if the connection just ends
	}{
		"whole":               {raw(final|text, ask), 0},
		"in three fragments":  {join(raw(text, ask[:5]), raw(0, ask[5:9]), raw(final, ask[9:])), 0},
		"ping in a fragment":  {join(raw(text, ask[:5]), raw(final|ping, "x"), raw(final, ask[5:])), 0},
		"binary":              {raw(final|binaryFrame, ask), websocket.CloseUnsupportedData},
		"not UTF-8":           {raw(final|text, "\"\xff\""), websocket.CloseInvalidFramePayloadData},
		"reserved bit":        {raw(final|0x40|text, ask), websocket.CloseProtocolError},
		"unknown opcode":      {raw(final|3, ask), websocket.CloseProtocolError},
		"not masked":          {append([]byte{final | text, byte(len(ask))}, ask...), websocket.CloseProtocolError},
		"continues nothing":   {raw(final, ask), websocket.CloseProtocolError},
		"fragmented ping":     {raw(ping, "x"), websocket.CloseProtocolError},
		"long ping":           {raw(final|ping, strings.Repeat("x", 126)), websocket.CloseProtocolError},
		"too large":           {raw(final|text, strings.Repeat("x", 70_000)), websocket.CloseMessageTooBig},
		"too large in pieces": {join(raw(text, strings.Repeat("x", 40_000)), raw(final, strings.Repeat("x", 40_000))), websocket.CloseMessageTooBig},
		"too large in bytes":  {join(raw(text, "x"), bytes.Repeat(raw(0, "x"), 70_000)), websocket.CloseMessageTooBig},
		"empty without end":   {join(raw(text, ""), bytes.Repeat(raw(0, ""), 1000), raw(final, ask)), 0},
		"length of 2^63":      {[]byte{final | text, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, unsaid},
	}
	g := open(t, setup{edge: edge.Config{Body: 64 << 10}})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			frames := g.frames(t, test.frames)
			for {
				kind, payload, err := frames()
				switch {
				case err != nil && test.code == unsaid:
					return
				case err != nil:
					t.Fatalf("read: %v", err)
				case kind == 10 && test.code == 0:
					continue
				case kind == 8 && test.code != 0:
					if got := int(binary.BigEndian.Uint16(payload)); got != test.code {
						t.Errorf("close code %d, want %d", got, test.code)
					}
					return
				case kind == text && test.code == 0:
					if !strings.Contains(string(payload), "-32600") { // no session: the answer shows that it was read
						t.Errorf("answer %s", payload)
					}
					return
				default:
					t.Fatalf("frame of kind %d: %q", kind, payload)
				}
			}
		})
	}
}

// frames upgrades a connection, sends raw bytes on it, and returns a reader of the
// frames that come back.
func (g *gate) frames(tb testing.TB, out []byte) func() (kind byte, payload []byte, err error) {
	tb.Helper()
	conn, in := g.dial()
	head := "GET /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := io.WriteString(conn, head); err != nil {
		tb.Fatal(err)
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		tb.Fatalf("upgrade: %v %v", resp, err)
	}
	go func() { _, _ = conn.Write(out) }() // fails where the other side has heard enough
	return func() (byte, []byte, error) { return nextFrame(in) }
}

func nextFrame(in *bufio.Reader) (kind byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, nil, err
	}
	size := int(head[1])
	if size == 126 {
		var long [2]byte
		if _, err := io.ReadFull(in, long[:]); err != nil {
			return 0, nil, err
		}
		size = int(binary.BigEndian.Uint16(long[:]))
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(in, payload)
	return head[0] & 0x0f, payload, err
}

// raw is a frame as clients send it, under the mask of zeros.
func raw(first byte, payload string) []byte {
	out := []byte{first, 0x80 | byte(len(payload))}
	switch n := len(payload); {
	case n >= 1<<16:
		out = binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, uint64(n))
	case n > 125:
		out = binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(n))
	}
	return append(append(out, 0, 0, 0, 0), payload...)
}

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// A peer that answers no ping is gone after 30 seconds, one that does stays.
func TestT13_WebSocketPings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, setup{memory: true})
		mute, alive := g.socket(), g.socket()
		pings := 0
		mute.conn.SetPingHandler(func(string) error { pings++; return nil })
		gone := make(chan time.Duration, 1)
		started := time.Now()
		go func() {
			_, _, _ = mute.conn.ReadMessage()
			gone <- time.Since(started)
		}()
		heard := make(chan string, 1)
		go func() {
			_, text, _ := alive.conn.ReadMessage()
			heard <- string(text)
		}()
		if took := <-gone; took > 35*time.Second || pings == 0 {
			t.Errorf("a mute peer was kept for %v, asked %d times", took, pings)
		}
		time.Sleep(5 * time.Minute)
		alive.say(request("1", "ping"))
		if text := <-heard; !strings.Contains(text, `"id":1`) {
			t.Errorf("after five minutes: %q", text)
		}
		_ = alive.conn.Close()
		synctest.Wait()
	})
}

// Close ends idle connections at once, and others with their last call.
func TestCloseLetsCallsFinish(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	g := open(t, setup{session: session.Config{}, handle: func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		close(begun)
		<-finish
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{}`))), nil
	}})
	idle, busy := g.socket(), g.socket()
	busy.say(modernly("1", "tools/list"))
	<-begun
	closed := make(chan error, 1)
	go func() { closed <- g.handler.(*edge.Edge).Close(context.WithoutCancel(t.Context())) }()
	if code := idle.closed(); code != websocket.CloseGoingAway {
		t.Errorf("close code %d", code)
	}
	busy.say(modernly("2", "tools/list"))
	if got := codeOf(t, busy.hear()); got != 105 {
		t.Errorf("a new request: code %d, want draining", got)
	}
	close(finish)
	if got := failureOf(t, busy.hear()); string(got.ID) != "1" || got.Error != nil {
		t.Errorf("the call in flight: %+v", got)
	}
	if code := busy.closed(); code != websocket.CloseGoingAway {
		t.Errorf("close code %d", code)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, resp, err := g.tryDial(); err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a new connection: %v %v", resp, err)
	}
}
