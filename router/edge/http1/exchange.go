package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// exchange is one request and its answer; to its handler it is the [http.ResponseWriter]. As in net/http, one goroutine
// at a time may use it, but deadlines may be set by any.
type exchange struct {
	conn     *conn
	length   int64 // of the answer's content; -1 if that is not known before
	written  int64 // content so far
	err      error // writing failed
	request  *http.Request
	status   int  // 0 until it is said
	begun    bool // the head was sent
	chunked  bool
	ends     bool // the connection ends with the answer
	hijacked bool

	header http.Header
	url    url.URL
	cancel context.CancelCauseFunc
	body   body
}

var (
	_ http.ResponseWriter = (*exchange)(nil)
	_ http.Hijacker       = (*exchange)(nil)
)

// unknown is the length of content whose end is not known before.
const unknown = -1

// newExchange makes the exchange of the head that was read.
func newExchange(c *conn) (*exchange, error) {
	x := &exchange{conn: c, header: c.answerHeader(), length: unknown}
	if err := c.head.locate(&x.url); err != nil {
		return nil, err
	}
	header, m, err := c.head.collect()
	if err != nil {
		return nil, err
	}
	x.ends = m.close
	x.body = body{conn: c, left: max(m.length, 0), chunked: m.coded, over: !m.coded && m.length <= 0, expects: m.expect != ""}
	x.begins(header, m)
	return x, nil
}

// newRefusal makes the exchange of a request that could not be read, to say so.
func newRefusal(c *conn) *exchange {
	c.head = head{fields: c.head.fields[:0]}
	x := &exchange{conn: c, header: c.answerHeader(), length: unknown, ends: true}
	x.body = body{conn: c, err: errChunk} // where the next request begins nobody knows
	x.begins(http.Header{}, message{length: unknown})
	return x
}

// begins makes the request that the handler sees.
func (x *exchange) begins(header http.Header, m message) {
	h := &x.conn.head
	ctx, cancel := context.WithCancelCause(x.conn.ctx)
	x.cancel = cancel
	r := http.Request{
		Method: h.of(h.method), URL: &x.url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header, Host: m.host,
		RemoteAddr: x.conn.remote, RequestURI: h.of(h.target), Close: m.close, ContentLength: max(m.length, 0), Body: x.body.reader(),
	}
	if m.coded {
		r.ContentLength, r.TransferEncoding = unknown, chunkedCoding
	}
	if h.minor == 0 {
		r.Proto, r.ProtoMinor = "HTTP/1.0", 0
	}
	x.request = r.WithContext(ctx)
}

// chunkedCoding is shared by all requests and only read.
var chunkedCoding = []string{"chunked"}

// Header implements [http.ResponseWriter].
func (x *exchange) Header() http.Header { return x.header }

// WriteHeader implements [http.ResponseWriter]. The header counts as it is at the first byte of content.
func (x *exchange) WriteHeader(status int) {
	if x.status != 0 || x.hijacked {
		return
	}
	x.status = status
	if values := x.header["Content-Length"]; len(values) == 1 {
		if n, err := strconv.ParseInt(values[0], 10, 64); err == nil && n >= 0 {
			x.length = n
		}
	}
}

// bare reports whether the answer has no content, whatever its header says (RFC 9112 §6.3).
func (x *exchange) bare() bool {
	return x.request.Method == http.MethodHead || x.status == http.StatusNoContent || x.status == http.StatusNotModified
}

// WriteWhole writes all of the content, in two pieces; its length need not stand in the header.
func (x *exchange) WriteWhole(p, q []byte) error {
	x.WriteHeader(http.StatusOK)
	if x.length < 0 && x.written == 0 {
		x.length = int64(len(p) + len(q))
	}
	_, err := x.write(p, q)
	return err
}

// WriteNow writes a part of the content that must not wait for more, and gives the client a while to take it: what Write, Flush and
// SetWriteDeadline do together, for answers that consist of a great many parts.
func (x *exchange) WriteNow(p []byte, within time.Duration) error {
	if err := x.conn.writeWithin(within); err != nil {
		return err
	}
	if !x.begun || !x.chunked || x.err != nil {
		if _, err := x.write(p, nil); err != nil {
			return err
		}
		return x.FlushError()
	}
	x.written += int64(len(p))
	return x.sent(x.conn.out.send(p, nil, true, false))
}

// Offers reports whether Offer may be called.
func (x *exchange) Offers() bool {
	return x.begun && x.chunked && x.err == nil && x.conn.out.socket != nil
}

// Margin is how much room before and behind a part lets Offer send it without copying it.
const Margin = 8

// Offer is WriteNow of b from a place on that does not wait for a client that is slow to take it. What is before that place, and in the
// capacity behind b, is overwritten. What the client has not taken is sent by Settle, or before whatever is written next, and Offer
// reports whether there is such a thing.
func (x *exchange) Offer(b []byte, at int) (owes bool, err error) {
	x.written += int64(len(b) - at)
	err = x.sent(x.conn.out.offer(b, at))
	return len(x.conn.out.owed) > 0, err
}

// Settle sends what was offered and not taken, and gives the client a while to take it.
func (x *exchange) Settle(within time.Duration) error {
	if err := x.conn.writeWithin(within); err != nil {
		return err
	}
	return x.sent(x.conn.out.settle())
}

// Write implements [http.ResponseWriter]. It returns [http.ErrContentLength] for more than the header promises. What is
// short is sent when the handler has returned, so that a client that has its answer finds nothing of its call left.
func (x *exchange) Write(p []byte) (int, error) { return x.write(p, nil) }

func (x *exchange) write(p, q []byte) (int, error) {
	if x.hijacked {
		return 0, http.ErrHijacked
	}
	x.WriteHeader(http.StatusOK)
	n := len(p) + len(q)
	switch {
	case x.err != nil:
		return 0, x.err
	case x.bare() && x.request.Method != http.MethodHead:
		return 0, http.ErrBodyNotAllowed
	case x.length >= 0 && x.written+int64(n) > x.length:
		return 0, http.ErrContentLength
	}
	x.written += int64(n)
	out := &x.conn.out
	if x.bare() || out.keeps(n) {
		if !x.bare() {
			out.keep(p)
			out.keep(q)
		}
		return n, nil
	}
	if err := x.send(p, q, false); err != nil {
		return 0, err
	}
	return n, nil
}

// send sends what was kept, and two pieces of content after it; with the head, if that was not sent.
func (x *exchange) send(p, q []byte, last bool) error {
	if x.err != nil {
		return x.err
	}
	out := &x.conn.out
	if !x.begun {
		x.begin(out, int64(len(out.kept)+len(p)+len(q)), last)
	}
	err := x.conn.mayWrite()
	if err == nil {
		err = out.send(p, q, x.chunked, last)
	}
	return x.sent(err)
}

// sent notes what came of writing.
func (x *exchange) sent(err error) error {
	if x.err = err; err != nil {
		x.cancel(nil) // whoever works for the answer works for nobody
	}
	return err
}

// Flush implements [http.Flusher].
func (x *exchange) Flush() { _ = x.FlushError() } // http.Flusher has no place for an error

// FlushError sends what was kept. Whoever sends an answer in parts has time to see that its client goes.
func (x *exchange) FlushError() error {
	if x.hijacked {
		return http.ErrHijacked
	}
	x.WriteHeader(http.StatusOK)
	if x.begun && len(x.conn.out.kept) == 0 {
		return x.err
	}
	x.conn.watch.now()
	return x.send(nil, nil, false)
}

// finish sends the rest of the answer once the handler has returned.
func (x *exchange) finish() error {
	x.WriteHeader(http.StatusOK)
	short := x.length >= 0 && x.written < x.length && !x.bare()
	if !x.begun || x.chunked || len(x.conn.out.kept) > 0 {
		if err := x.send(nil, nil, true); err != nil {
			return err
		}
	}
	x.body.closed = true
	if short {
		return io.ErrShortWrite
	}
	return nil
}

// Cancel ends the context of the request for a cause. Unlike all else it may be called by any goroutine, and at any time.
func (x *exchange) Cancel(cause error) { x.cancel(cause) }

// SetReadDeadline is for [http.ResponseController].
func (x *exchange) SetReadDeadline(t time.Time) error {
	c := x.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ownRead, c.readUntil = true, t
	return c.nc.SetReadDeadline(t)
}

// SetWriteDeadline is for [http.ResponseController]. It holds until the answer has ended; one that is hardly later than
// the one before is taken for the same.
func (x *exchange) SetWriteDeadline(t time.Time) error { return x.conn.setWriteDeadline(t) }

// Hijack implements [http.Hijacker].
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c := x.conn
	switch {
	case x.hijacked:
		return nil, nil, http.ErrHijacked
	case x.begun:
		return nil, nil, errors.New("http1: the answer has begun")
	}
	c.watch.end()
	x.hijacked = true
	c.srv.leave(c)
	if err := c.nc.SetDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	in := bufio.NewReader(c.nc)
	if c.r < c.w {
		early := c.buf[c.r:c.w]
		in = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), c.nc), len(c.buf))
		if _, err := in.Peek(len(early)); err != nil {
			return nil, nil, err
		}
	}
	return c.nc, bufio.NewReadWriter(in, bufio.NewWriter(c.nc)), nil
}
