package model

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/upstream"
)

const (
	socketIdle  = 90 * time.Second // for which a socket without a call is kept
	socketsKept = 64
	socketWrite = 10 * time.Second // for a gateway to take a message
	farewell    = 50 * time.Millisecond
)

// socketRelay is a gateway that speaks the dialect over WebSockets. A socket has one call at a time, so that a slow client holds
// back its own answer and no other one; it serves the next call when the answer has come to its end.
type socketRelay struct {
	*web
	address string
	header  http.Header
	dialer  websocket.Dialer
	ids     atomic.Uint64

	mu     sync.Mutex
	idle   []*socket
	closed bool
}

var _ Backend = (*socketRelay)(nil)

func newSocketRelay(w *web) (Backend, error) {
	b := &socketRelay{web: w, address: w.url.String(), header: http.Header{}}
	plain := *w.url // the same address and headers as those of a POST, checked in the same way
	plain.Scheme = "http" + w.url.Scheme[len("ws"):]
	if _, err := upstream.NewEndpoint(&plain, w.fixed); err != nil {
		return nil, err
	}
	for _, f := range w.fixed {
		b.header.Set(f.Name, f.Value)
	}
	b.dialer = websocket.Dialer{
		NetDialContext: new(net.Dialer).DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		HandshakeTimeout: socketWrite, Subprotocols: []string{"jsonrpc"},
	}
	return b, nil
}

// Handle implements [Backend].
func (b *socketRelay) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	v, err := read(c, &b.cfg)
	if err != nil {
		return nil, err
	}
	id := rpc.NumberID(b.ids.Add(1))
	r := b.begin(ctx, c, &v)
	r.tally.note()
	f, err := b.send(r.ctx, id, v.request(c, id))
	if err != nil {
		return nil, r.fail(err)
	}
	if v.stream {
		return r.stream(&relayStream{p: &b.peer, id: id, frames: f}), nil
	}
	p, err := b.answer(f, id)
	if err != nil {
		return nil, r.fail(err)
	}
	result, err := b.result(p, &v, &r.tally)
	if err != nil {
		return nil, r.fail(err)
	}
	return r.respond(result), nil
}

// answer reads an answer that is one message.
func (b *socketRelay) answer(f *socketFrames, id rpc.ID) (infer.Part, error) {
	text, err := f.next()
	if err != nil {
		f.close(false)
		return infer.Part{}, err
	}
	p, err := infer.ReadPart(text)
	if err != nil {
		f.close(false)
		return p, b.fault.malformed(err, "an answer")
	}
	err = b.mine(p, id)
	f.close(err == nil)
	if err == nil && p.Err != nil {
		err = b.fault.said(p.Err)
	}
	return p, err
}

// send sends a message over a socket that has no call. One that does not take it has ended since its last call: another one is
// tried. What was not taken wholly is no message to who gets it.
func (b *socketRelay) send(ctx context.Context, id rpc.ID, message []byte) (*socketFrames, error) {
	for {
		s, kept := b.take()
		if !kept {
			var err error
			if s, err = b.dial(ctx); err != nil {
				return nil, err
			}
		}
		err := s.write(message, socketWrite)
		if err == nil {
			return &socketFrames{b: b, s: s, ctx: ctx, id: id}, nil
		}
		_ = s.conn.Close()
		if !kept {
			e := b.fault.down(err, "cannot be reached: %s", upstream.Reason(err))
			e.NotRun = true
			return nil, e
		}
	}
}

func (b *socketRelay) dial(ctx context.Context) (*socket, error) {
	conn, resp, err := b.dialer.DialContext(ctx, b.address, b.header) //nolint:bodyclose // it need not be, and is no body
	switch {
	case err == nil:
	case errors.Is(err, websocket.ErrBadHandshake) && resp != nil:
		return nil, b.fault.refused(resp.StatusCode, "", retryAfter(resp.Header.Get("Retry-After")))
	default:
		e := b.fault.down(err, "cannot be reached: %s", upstream.Reason(err))
		e.NotRun = true
		return nil, e
	}
	conn.SetReadLimit(b.deps.MaxResult)
	s := &socket{conn: conn, out: make(chan []byte), gone: make(chan struct{}), left: make(chan struct{})}
	go s.read()
	return s, nil
}

// take returns a socket that has no call, if there is one.
func (b *socketRelay) take() (*socket, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n := len(b.idle); n > 0; n = len(b.idle) {
		s := b.idle[n-1]
		b.idle = b.idle[:n-1]
		s.expiry.Stop()
		if !s.over() {
			return s, true
		}
	}
	return nil, false
}

// put keeps a socket whose call is over.
func (b *socketRelay) put(s *socket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || len(b.idle) >= socketsKept || s.over() {
		s.end()
		return
	}
	s.expiry = time.AfterFunc(socketIdle, s.end)
	b.idle = append(b.idle, s)
}

// Close implements [Backend].
func (b *socketRelay) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, s := range b.idle {
		s.expiry.Stop()
		s.end()
	}
	b.idle = nil
	return b.web.Close()
}

// Probe implements [Backend].
func (b *socketRelay) Probe(ctx context.Context) error {
	p, err := b.question(ctx, infer.Status, nil)
	if err != nil {
		return err
	}
	return b.fault.well(p.Result)
}

// Models returns the names of the models that the gateway lets this one use.
func (b *socketRelay) Models(ctx context.Context) ([]string, error) {
	p, err := b.question(ctx, infer.Status, nil)
	if err != nil {
		return nil, err
	}
	return b.names(p.Result, "models", "name")
}

// Warm implements [Backend].
func (b *socketRelay) Warm(ctx context.Context, model string) error {
	_, err := b.question(ctx, infer.Invoke, warming(model))
	return err
}

// question asks the gateway for something itself.
func (b *socketRelay) question(ctx context.Context, method string, params []byte) (infer.Part, error) {
	id := rpc.NumberID(b.ids.Add(1))
	f, err := b.send(ctx, id, rpc.NewRequest(id, method, params).AppendTo(nil))
	if err != nil {
		return infer.Part{}, err
	}
	return b.answer(f, id)
}

// socketFrames are the messages of one call on a socket.
type socketFrames struct {
	b   *socketRelay
	s   *socket
	ctx context.Context // of the call's exchange
	id  rpc.ID
}

var _ frames = (*socketFrames)(nil)

func (f *socketFrames) next() ([]byte, error) {
	select {
	case text := <-f.s.out:
		return text, nil
	case <-f.s.gone:
		if errors.Is(f.s.why, websocket.ErrReadLimit) {
			return nil, f.b.fault.failed(f.s.why, "gave an answer that exceeds the size limit")
		}
		return nil, f.b.fault.broke(f.s.why, "closed the connection in the middle of the answer")
	case <-f.ctx.Done():
		return nil, context.Cause(f.ctx)
	}
}

func (f *socketFrames) close(whole bool) {
	if whole {
		f.b.put(f.s)
		return
	}
	f.s.quit(rpc.NewNotification(infer.Cancel, fmt.Appendf(nil, `{"id":%s}`, f.id.Raw())).AppendTo(nil))
}

// socket is a WebSocket. One goroutine reads from it as long as it lasts.
type socket struct {
	conn   *websocket.Conn
	out    chan []byte   // what came for the call that the socket has
	gone   chan struct{} // closed when there is nothing more to read
	why    error         // what ended it; set before gone is closed
	left   chan struct{} // closed when nobody wants the socket any more
	leave  sync.Once
	expiry *time.Timer // while it has no call

	writing sync.Mutex
}

// over reports whether the socket is of no more use.
func (s *socket) over() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// end closes the socket.
func (s *socket) end() {
	s.leave.Do(func() { close(s.left) })
	_ = s.conn.Close()
}

func (s *socket) write(text []byte, within time.Duration) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(within))
	return s.conn.WriteMessage(websocket.TextMessage, text)
}

// quit sends a last message, if that takes no time, and closes the socket.
func (s *socket) quit(text []byte) {
	if s.writing.TryLock() {
		_ = s.conn.SetWriteDeadline(time.Now().Add(farewell))
		_ = s.conn.WriteMessage(websocket.TextMessage, text)
		s.writing.Unlock()
	}
	s.end()
}

// read takes frames until the socket ends. A frame is held until the call takes it; pings are answered here.
func (s *socket) read() {
	defer close(s.gone)
	defer func() { _ = s.conn.Close() }()
	for {
		kind, r, err := s.conn.NextReader()
		var text []byte
		if err == nil {
			text, err = io.ReadAll(r)
		}
		switch {
		case err != nil:
			s.why = err
			return
		case kind != websocket.TextMessage:
			s.why = errors.New("it sent a binary frame")
			return
		case s.pinged(text):
			continue
		}
		select {
		case s.out <- text:
		case <-s.left:
			s.why = errClosed
			return
		}
	}
}

// pinged answers a ping, and reports whether a message was one, or something else that is for no call.
func (s *socket) pinged(text []byte) bool {
	if !bytes.Contains(text, []byte(`"method"`)) {
		return false
	}
	o, err := rpc.ParseObject(text)
	if err != nil {
		return false
	}
	method, ok := o.Text("method")
	if !ok {
		return false
	}
	if raw, ok := o.Get("id"); ok && (method == infer.Ping || method == infer.Heartbeat) {
		if id, err := rpc.ParseID(raw); err == nil {
			_ = s.write(rpc.NewResult(id, alive(o)).AppendTo(nil), socketWrite)
		}
	}
	return true
}

// alive is the result of a ping.
func alive(ping rpc.Object) []byte {
	w := writer{text: []byte{'{'}}
	if params, err := rpc.ReadObject(given(ping, "params")); err == nil {
		w.optional("nonce", given(params, "nonce"))
	}
	w.string("time", time.Now().UTC().Format(time.RFC3339Nano))
	return append(w.text, '}')
}
