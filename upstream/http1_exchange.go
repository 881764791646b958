package upstream

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc/socket"
)

// exchange is one request and its answer on one connection. It is the body of the response it leads to.
type exchange struct {
	// What each piece of an answer needs lies together.
	conn    *conn
	framing framing
	to      Taker // of what is pushed; nil while nothing is
	err     error
	ended   atomic.Bool

	ctx       context.Context // of the call; an exchange is as long as it
	stop      func() bool     // ends the watch over ctx; false if the connection was closed by it
	pool      *pool
	host      string
	response  Response
	keepAlive time.Duration
	reusable  bool // once this answer is over, the connection can serve again
	sent      bool // the connection accepted at least one byte of the request
}

// newExchange begins to watch over ctx: its end closes the connection, which ends any read or write.
func newExchange(ctx context.Context, c *conn, p *pool, host string) *exchange {
	return &exchange{ctx: ctx, stop: context.AfterFunc(ctx, c.abort), conn: c, pool: p, host: host}
}

// run sends the request and reads the header of the answer. When it returns, nothing refers to the message any more.
func (x *exchange) run(method string, msg message, bounds *ClientConfig) (*Response, error) {
	rest, sendErr := x.send(msg)
	if sendErr != nil && !x.sent {
		return nil, x.fail("send", sendErr)
	}
	h, err := x.receive(bounds)
	if err != nil {
		x.end(false)
		x.sent = rest.abandon() || x.sent
		if sendErr != nil { // the peer closed the connection without saying why
			return nil, x.fail("send", sendErr)
		}
		return nil, x.fail("read header", err)
	}
	x.sent = true // whatever the writing says, there is an answer
	wholly := rest.settle(h.status) && sendErr == nil
	if !wholly && x.ctx.Err() != nil {
		return nil, x.fail("send", x.ctx.Err())
	}
	x.framing = h.framing(method)
	x.reusable = wholly && !h.close
	x.keepAlive = h.keepAlive
	x.response = Response{Status: h.status, Length: h.length, Header: h.header, body: x}
	if x.framing.done {
		x.response.Length, x.err = 0, io.EOF
		x.Finish()
	}
	return &x.response, nil
}

// receive reads headers until a final one. Interim answers are of no use to us and skipped (RFC 9110 §15.2).
func (x *exchange) receive(bounds *ClientConfig) (head, error) {
	if bounds.HeaderTimeout > 0 {
		_ = x.conn.nc.SetReadDeadline(time.Now().Add(bounds.HeaderTimeout))
		defer func() { _ = x.conn.nc.SetReadDeadline(time.Time{}) }()
	}
	room := bounds.MaxHeaderBytes
	for range maxInterim + 1 {
		n, err := x.awaitHead(room)
		if err != nil {
			return head{}, err
		}
		h, err := parseHead(x.conn.unread()[:n])
		x.conn.pos += n
		room -= n
		switch {
		case err != nil:
			return head{}, err
		case h.status == http.StatusSwitchingProtocols:
			return head{}, malformed("switch of protocols that was not asked for")
		case h.status >= http.StatusOK:
			return h, nil
		}
	}
	return head{}, malformed("more than %d interim answers", maxInterim)
}

// awaitHead reads until a whole header is in the buffer and returns its length.
func (x *exchange) awaitHead(room int) (int, error) {
	var scan headScan
	c := x.conn
	for {
		unread := c.unread()
		n, err := scan.end(unread[:min(len(unread), room)])
		switch {
		case n > 0 || err != nil:
			return n, err
		case len(unread) >= room:
			return 0, ErrTooLarge
		}
		if err := c.fill(); err != nil {
			if len(unread) > 0 {
				err = cut(err)
			}
			return 0, err
		}
	}
}

// Read implements io.Reader as Response.Read describes it.
func (x *exchange) Read(p []byte) (int, error) {
	if err := x.readable(); err != nil || len(p) == 0 {
		return 0, err
	}
	n, err := x.read(p)
	return n, x.note(err)
}

// readable returns why there is nothing to be read any more; nil if there may be.
func (x *exchange) readable() error {
	if x.err == nil && x.ended.Load() {
		return x.fail("read body", errClosed)
	}
	return x.err
}

// note ends the exchange if reading has come to the end of the body, or to an error, and returns what the reader gets.
func (x *exchange) note(err error) error {
	switch {
	case err == io.EOF: //nolint:errorlint // read and lend return io.EOF itself
		x.err = err
		x.Finish()
	case err != nil:
		x.err = x.fail("read body", err)
	}
	return x.err
}

// read returns the payload that has arrived, waiting only when there is none, and io.EOF with or behind the last of it.
func (x *exchange) read(p []byte) (n int, err error) {
	c, f := x.conn, &x.framing
	for {
		skipped, err := f.skip(c.unread())
		c.pos += skipped
		switch {
		case err != nil:
			return n, err
		case f.done:
			return n, io.EOF
		case n == len(p):
			return n, nil
		}
		took := 0
		switch {
		case c.pos < c.end:
			took = copy(p[n:], c.unread()[:min(f.left, int64(c.end-c.pos))])
			c.pos += took
		case n > 0:
			return n, nil
		case f.left > 0 && len(p) >= connBuffer:
			took, err = c.readPast(p, f.left, f.state == chunkData)
		default:
			err = c.fill()
		}
		if err != nil {
			return n, x.cut(err)
		}
		f.took(took)
		n += took
	}
}

// Lend implements [frame.Lender] as Response.Lent describes it.
func (x *exchange) Lend() ([]byte, error) {
	if err := x.readable(); err != nil {
		return nil, err
	}
	p, err := x.lend()
	return p, x.note(err)
}

// lend returns the payload that has arrived without anything in between, waiting only when there is none, and io.EOF behind the last of it.
func (x *exchange) lend() ([]byte, error) {
	c, f := x.conn, &x.framing
	for {
		skipped, err := f.skip(c.unread())
		c.pos += skipped
		switch {
		case err != nil:
			return nil, err
		case f.done:
			return nil, io.EOF
		case c.pos < c.end:
			from := c.pos
			c.pos += int(min(f.left, int64(c.end-c.pos)))
			f.took(c.pos - from)
			return c.buf[from:c.pos:c.pos], nil
		}
		if err := c.fill(); err != nil {
			return nil, x.cut(err)
		}
	}
}

// push gives away what arrives, as Response.Push describes it.
func (x *exchange) push(to Taker) (can bool) {
	c := x.conn
	if x.readable() != nil || !c.plain() {
		return false
	}
	x.to = to
	if x.hand() {
		c.release()
		if err := c.socket.Push(x); err != nil {
			_ = x.note(x.cut(err)) // which is what reading returns from now on
		}
	}
	x.to = nil
	return true
}

// Take implements [socket.Taker]: what is not taken of it stays in the connection's buffer.
func (x *exchange) Take(b *socket.Buffer, n int) (more bool) {
	c := x.conn
	c.room, c.buf, c.end = b, b[:], n
	if more = x.hand(); more {
		c.release()
	}
	return more
}

// hand gives away the pieces of payload that have arrived, and reports whether it may go on with what is still to come. What is not taken
// stays, as does what is wrong.
func (x *exchange) hand() (more bool) {
	c := x.conn
	for c.pos < c.end {
		at := x.framing
		n, err := at.skip(c.unread())
		if err != nil || at.done {
			return false
		}
		from := c.pos + n
		to := from + int(min(at.left, int64(c.end-from)))
		took, more := true, true
		if from < to {
			took, more = x.to.Take(c.buf[from:to:to])
		}
		if took {
			at.took(to - from)
			x.framing, c.pos = at, to
		}
		if !took || !more {
			return false
		}
	}
	return !x.framing.done
}

// cut interprets the end of the connection: it completes a body that has no other end, and truncates any other.
func (x *exchange) cut(err error) error {
	if x.framing.state == untilClose && err == io.EOF { //nolint:errorlint // net.Conn returns io.EOF itself
		return err
	}
	return cut(err)
}

// Close implements io.Closer as Response.Close describes it.
func (x *exchange) Close() error {
	x.end(false)
	return nil
}

// Finish gives the connection back, with whatever is still to come of the answer.
func (x *exchange) Finish() {
	// Without a view of the socket nobody could tell later whether the rest has come.
	x.end(x.reusable && (x.framing.done || x.conn.socket != nil && x.framing.state != untilClose))
}

// end is where the exchange lets go of its connection, once.
func (x *exchange) end(again bool) {
	if x.ended.Swap(true) {
		return
	}
	if stopped := x.stop(); stopped && again {
		x.pool.push(x.conn, x.framing, x.keepAlive)
		return
	}
	x.conn.abort()
}

// fail ends the exchange and says at which step it failed.
func (x *exchange) fail(op string, err error) error {
	x.end(false)
	return &ExchangeError{Op: op, Host: x.host, Sent: x.sent, Err: reason(x.ctx, err)}
}
