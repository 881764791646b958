package mcpserver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/upstream"
)

const (
	wsPing  = 20 * time.Second // between two pings
	wsPong  = 10 * time.Second // for the answer to one
	wsWrite = 10 * time.Second // for a peer to take a message
)

// errBinary is why a frame is not read that holds no text.
var errBinary = errors.New("it is a binary frame")

// wsConn is the link over one WebSocket. One goroutine reads, another one writes.
type wsConn struct {
	*duplex
	socket *websocket.Conn
	queue  *outbox
	pings  *time.Timer
	unbind func() bool // the socket no longer closes when the lifetime of the server ends
}

var _ wire = (*wsConn)(nil)

func newWSConn(d *wsDialer, socket *websocket.Conn) *wsConn {
	c := &wsConn{duplex: newDuplex(d.s, &shared, d.maxResult), socket: socket, queue: newOutbox(&shared)}
	c.wire = c
	return c
}

// run begins to read, to write, and to see whether the peer is still there.
func (c *wsConn) run() {
	life := c.s.life
	c.unbind = context.AfterFunc(life, func() { _ = c.socket.Close() })
	c.heard()
	c.socket.SetPongHandler(func(string) error { c.heard(); return nil })
	c.pings = time.AfterFunc(wsPing, c.ping)
	life.work.Go(func() { c.finish(c.read(life)) })
	life.work.Go(func() {
		if c.send() != nil {
			time.AfterFunc(closeGrace, func() { _ = c.socket.Close() }) // its last answers may still come
		}
	})
}

// send writes each message as the text of a frame, until the link ends. Line ends in one become spaces, since
// servers such as websocketd make a line of each frame.
func (c *wsConn) send() error {
	var text []byte
	for {
		m, open := c.queue.pop()
		if !open {
			return nil
		}
		text = frame.AppendLine(text[:0], m.buffer.bytes)
		c.pool.put(m.buffer)
		if err := c.socket.SetWriteDeadline(time.Now().Add(wsWrite)); err != nil {
			return err
		}
		if err := c.socket.WriteMessage(websocket.TextMessage, text[:len(text)-1]); err != nil {
			return err
		}
		if cap(text) > maxPooled {
			text = nil
		}
	}
}

// heard notes a sign of life.
func (c *wsConn) heard() { _ = c.socket.SetReadDeadline(time.Now().Add(wsPing + wsPong)) }

func (c *wsConn) ping() {
	if c.socket.WriteControl(websocket.PingMessage, nil, time.Now().Add(wsPong)) == nil {
		c.pings.Reset(wsPing)
	}
}

// read takes frames until the connection ends, and returns why it did.
func (c *wsConn) read(ctx context.Context) error {
	for {
		kind, r, err := c.socket.NextReader()
		if err != nil {
			return err
		}
		b := c.pool.get()
		text := bytes.NewBuffer(b.bytes)
		_, err = text.ReadFrom(io.LimitReader(r, int64(c.limit)+1))
		b.bytes = text.Bytes()
		switch {
		case err != nil:
			c.pool.put(b)
			return err
		case kind != websocket.TextMessage:
			err = errBinary
		case len(b.bytes) > c.limit:
			err = errTooLong // the next reader skips the rest
		}
		c.heard()
		if err != nil {
			c.reject(ctx, b.bytes, err)
			c.pool.put(b)
			continue
		}
		c.receive(ctx, b)
	}
}

// write implements [wire].
func (c *wsConn) write(id uint64, b *buffer) error { return c.queue.push(id, b) }

// withdraw implements [wire].
func (c *wsConn) withdraw(id uint64) bool { return c.queue.withdraw(id) }

// stop implements [wire]: it says good-bye and waits for the peer to do so too (RFC 6455 §7.1.2).
func (c *wsConn) stop(ctx context.Context) {
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if c.socket.WriteControl(websocket.CloseMessage, bye, time.Now().Add(closeGrace)) == nil {
		timer := time.NewTimer(closeGrace)
		defer timer.Stop()
		select {
		case <-c.gone:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	_ = c.socket.Close()
}

// finish ends the link when nothing more can be read.
func (c *wsConn) finish(why error) {
	c.unbind()
	c.pings.Stop()
	_ = c.socket.Close()
	c.queue.close()
	c.end(func(closing, _ bool) *rpc.Error { return c.obituary(closing, why) })
}

// obituary says how the connection ended.
func (c *wsConn) obituary(closing bool, why error) *rpc.Error {
	said, farewell := errors.AsType[*websocket.CloseError](why)
	switch {
	case closing:
		return c.s.fault.down(errClosed, "was shut down")
	case farewell && said.Code == websocket.CloseAbnormalClosure:
		return c.s.fault.down(why, "ended the connection without a word")
	case farewell:
		return c.s.fault.down(why, "closed the connection (code %d: %s)", said.Code, rpc.Excerpt(said.Text))
	case errors.Is(why, os.ErrDeadlineExceeded):
		return c.s.fault.down(why, "did not answer a ping")
	}
	return c.s.fault.down(why, "broke off: %s", upstream.Reason(why))
}
