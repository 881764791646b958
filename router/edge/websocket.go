package edge

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/rpc"
)

// Bounds of WebSockets (RFC 6455).
const (
	maxFrame     = 4 << 20          // bytes of one message, whatever larger bodies are allowed over HTTP
	pingInterval = 20 * time.Second // between pings, and
	pongTimeout  = 10 * time.Second // how much later than the next one an answer may come
	closeTimeout = time.Second      // to say goodbye
	subprotocol  = "mcp"
)

// upgrader agrees on WebSockets without compression, whose window would be held for
// each connection. Who may connect has been decided before it is asked; what is no
// proper request for an upgrade it leaves to us to refuse.
func upgrader(subprotocol string) *websocket.Upgrader {
	return &websocket.Upgrader{
		Subprotocols: []string{subprotocol},
		CheckOrigin:  func(*http.Request) bool { return true },
		Error:        func(http.ResponseWriter, *http.Request, int, error) {},
	}
}

// The upgraders, which do not change.
var (
	mcpUpgrader   = upgrader(subprotocol)
	inferUpgrader = upgrader(inferSubprotocol)
)

// socket is a WebSocket: each text frame is one message.
type socket struct {
	conn    *websocket.Conn
	patient time.Duration // for the client to take one message
	buffers *buffers

	mu   sync.Mutex // one writer at a time
	said scratch
}

// upgrade turns the exchange's connection into a WebSocket and serves it to its end.
func (x *exchange) upgrade() error {
	hello := x.callOf(rpc.Client{Era: rpc.Modern}, connectRow, x.connecting)
	return x.converse(mcpUpgrader, hello, min(x.cfg().Body, maxFrame), func(d *dialogue, s *socket) func([]byte) {
		context.AfterFunc(d.ctx, func() { s.hangUp(websocket.CloseGoingAway, "") })
		d.running.Go(func() {
			d.every(pingInterval, func() {
				s.ping(d)
				d.recheck(*hello)
			})
		})
		return func(text []byte) { d.hear(*hello, text) }
	})
}

// converse turns the exchange's connection into a WebSocket and serves it to its end. What begin returns is given each
// message, one after the other.
func (x *exchange) converse(up *websocket.Upgrader, hello *rpc.Call, limit int64, begin func(*dialogue, *socket) func([]byte)) error {
	x.asked = true
	hello.Bare = true
	s := &socket{patient: x.cfg().SlowReader, buffers: &x.buffers}
	// The connection outlives net/http's interest in it, and its context with it.
	d, err := x.connect(context.WithoutCancel(x.r.Context()), "websocket", hello, s.say)
	if err != nil {
		return err
	}
	defer s.said.release(s.buffers)
	defer d.end(hello)
	if s.conn, err = up.Upgrade(x.w, x.r, nil); err != nil {
		return rpc.Errorf(rpc.InvalidRequest, "no WebSocket was agreed on: %w", err)
	}
	defer s.conn.Close() //nolint:errcheck // nothing is left to be told
	s.conn.SetReadLimit(limit)
	hear := begin(d, s)
	for {
		text, ok := s.read()
		if !ok {
			d.cancel(errLeft())
			return nil
		}
		hear(text)
	}
}

// wantsUpgrade reports whether a GET asks for a WebSocket.
func wantsUpgrade(r *http.Request) bool { return websocket.IsWebSocketUpgrade(r) }

// read returns the next message. It ends a connection on which something else comes,
// or nothing for too long: pings are answered by every client, or it is gone.
func (s *socket) read() (text []byte, ok bool) {
	alive := func(string) error { return s.conn.SetReadDeadline(time.Now().Add(pingInterval + pongTimeout)) }
	s.conn.SetPongHandler(alive)
	if alive("") != nil {
		return nil, false
	}
	kind, r, err := s.conn.NextReader()
	if err != nil {
		return nil, false
	}
	if kind != websocket.TextMessage {
		s.goodbye(websocket.CloseUnsupportedData, "messages are text")
		return nil, false
	}
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(r); err != nil {
		return nil, false
	}
	if !utf8.Valid(buf.Bytes()) {
		s.goodbye(websocket.CloseInvalidFramePayloadData, "text is not UTF-8")
		return nil, false
	}
	return buf.Bytes(), true
}

// say writes a message as one frame.
func (s *socket) say(u utterance) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := u.AppendTo(s.said.space(s.buffers, u.Size()))
	return s.conn.SetWriteDeadline(time.Now().Add(s.patient)) == nil &&
		s.conn.WriteMessage(websocket.TextMessage, text) == nil
}

// ping keeps the connection, and asks whether anybody is there.
func (s *socket) ping(d *dialogue) {
	if s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(pongTimeout)) != nil {
		d.cancel(errLeft())
	}
}

// hangUp ends the connection, which wakes whoever reads or writes.
func (s *socket) hangUp(code int, why string) {
	s.goodbye(code, why)
	_ = s.conn.Close() // nothing is left to be told
}

// goodbye says why the connection ends. Where the client has said so first, or does
// not listen, it is lost.
func (s *socket) goodbye(code int, why string) {
	_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, why), time.Now().Add(closeTimeout))
}
