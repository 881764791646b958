package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc/socket"
)

const (
	usualHead = 4 << 10 // bytes that are read at once; heads are shorter as a rule
	// lastCall is how long an idle connection of a server that shuts down stays: a request may be on its way.
	lastCall = 100 * time.Millisecond
	// lingering is how long, and oversent how many bytes, the rest of a request is read that nobody wants, so that its
	// client gets to read the answer (RFC 9112 §9.6).
	lingering = time.Second
	oversent  = 256 << 10
)

// epoch is what deadlines are counted from.
var epoch = time.Now()

// conn is one connection. Its requests are served one after another by one goroutine.
type conn struct {
	out       writer       // first what each part of an answer needs
	sendUntil atomic.Int64 // since epoch: the deadline of writing; changed under mu
	ownWrite  atomic.Bool  // the handler has set it; likewise

	mu        sync.Mutex
	idle      bool // waits for the next request
	retired   bool // ends with the next answer, or if there comes no request
	ownRead   bool // the handler has set the deadline of reading
	readUntil time.Time

	srv    *Server
	nc     net.Conn
	in     io.Reader // what is read of nc
	remote string
	ctx    context.Context //nolint:containedctx // of the requests: so they do not all derive from one, which has a lock
	cancel context.CancelFunc
	buf    []byte // what was read and not yet used is buf[r:w]
	r, w   int
	head   head
	header http.Header // of answers, used again
	watch  watch
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{srv: s, nc: nc, in: nc, remote: nc.RemoteAddr().String(), buf: make([]byte, usualHead)}
	c.ctx, c.cancel = context.WithCancel(s.Base)
	c.out = writer{nc: nc, short: nc}
	if own := socket.Of(nc); own != nil {
		c.in, c.out.short, c.out.socket = own, own, own
	}
	c.watch.init(c)
	return c
}

// retire makes the connection end soon without breaking a request.
func (c *conn) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = true
	if c.idle {
		c.setReadDeadline(time.Now().Add(lastCall))
	}
}

// fleeting reports whether the connection ends with its next answer.
func (c *conn) fleeting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.retired
}

func (c *conn) serve() {
	defer c.srv.leave(c)
	defer c.cancel()
	hijacked := false
	defer func() {
		c.watch.timer.Stop()
		if !hijacked {
			_ = c.nc.Close() // nobody to tell
		}
	}()
	for first := true; ; first = false {
		if !c.await(first) {
			return
		}
		x, err := c.next()
		if err != nil {
			c.decline(err)
			return
		}
		more := c.handle(x)
		if hijacked = x.hijacked; hijacked || !more {
			return
		}
	}
}

// next reads the head of a request.
func (c *conn) next() (*exchange, error) {
	if err := c.readHead(); err != nil {
		return nil, err
	}
	return newExchange(c)
}

// answerHeader returns an empty header for an answer.
func (c *conn) answerHeader() http.Header {
	if c.header == nil {
		c.header = make(http.Header, 8)
	}
	clear(c.header)
	return c.header
}

// await waits for the first byte of a request.
func (c *conn) await(first bool) bool {
	if c.r < c.w {
		return true
	}
	c.r, c.w = 0, 0
	limit := c.srv.IdleTimeout
	if first {
		limit = c.srv.HeadTimeout
	}
	c.mu.Lock()
	c.idle = true
	if c.retired {
		limit = min(limit, lastCall)
	}
	c.armRead(limit)
	c.mu.Unlock()
	n, err := c.in.Read(c.buf)
	c.w = n
	c.mu.Lock()
	c.idle = false
	c.mu.Unlock()
	return n > 0 || err == nil
}

// armRead sets the deadline of reading, unless one that is hardly earlier is set: deadlines cost a timer. The lock is held.
func (c *conn) armRead(d time.Duration) {
	want := time.Now().Add(d)
	if c.readUntil.After(want) || c.readUntil.Before(want.Add(-d/8)) {
		c.setReadDeadline(want)
	}
}

func (c *conn) setReadDeadline(t time.Time) {
	c.readUntil = t
	_ = c.nc.SetReadDeadline(t) // fails on a closed connection, which reading will tell
}

// readWithin sets the deadline of reading.
func (c *conn) readWithin(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armRead(d)
}

// setWriteDeadline sets the deadline of writing, in the way of armRead.
func (c *conn) setWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ownWrite.Store(true)
	if t.IsZero() {
		c.sendUntil.Store(0)
		return c.nc.SetWriteDeadline(t)
	}
	return c.armWrite(t.Sub(epoch), time.Until(t))
}

// mayWrite gives a write the time that the server allows, unless the handler has said how long it may take.
func (c *conn) mayWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ownWrite.Load() {
		return nil
	}
	return c.armWrite(time.Since(epoch)+c.srv.WriteTimeout, c.srv.WriteTimeout)
}

// writeWithin sets the deadline of writing to so long from now, as the handler's. Answers that consist of a great many parts take no lock
// for each of them.
func (c *conn) writeWithin(d time.Duration) error {
	want := time.Since(epoch) + d
	if c.ownWrite.Load() && c.armed(want, d) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ownWrite.Store(true)
	return c.armWrite(want, d)
}

// armWrite sets the deadline of writing, which is so long from now. The lock is held.
func (c *conn) armWrite(want, left time.Duration) error {
	if c.armed(want, left) {
		return nil
	}
	c.sendUntil.Store(int64(want))
	return c.nc.SetWriteDeadline(epoch.Add(want))
}

// armed reports whether a deadline of writing is set that is hardly earlier.
func (c *conn) armed(want, left time.Duration) bool {
	until := time.Duration(c.sendUntil.Load())
	return until <= want && until > want-left/8
}

// fill reads more into the buffer, which grows to most bytes if need be.
func (c *conn) fill(most int) error {
	switch {
	case c.r == c.w:
		c.r, c.w = 0, 0
	case c.w == len(c.buf) && c.r > 0:
		copy(c.buf, c.buf[c.r:c.w])
		c.r, c.w = 0, c.w-c.r
	case c.w == len(c.buf) && len(c.buf) < most:
		bigger := make([]byte, min(2*len(c.buf), most))
		copy(bigger, c.buf[:c.w])
		c.buf = bigger
	case c.w == len(c.buf):
		return errTooLong
	}
	n, err := c.in.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// mayRead lifts the deadline of the head: how long content may take is the handler's to say.
func (c *conn) mayRead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ownRead {
		c.ownRead = true
		c.setReadDeadline(time.Time{})
	}
}

// mayReadFor gives the reading of content the time that the server allows, whatever the handler has said.
func (c *conn) mayReadFor(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ownRead = true
	c.setReadDeadline(time.Now().Add(d))
}

// read reads content, first of all what is in the buffer.
func (c *conn) read(p []byte) (int, error) {
	if c.r < c.w {
		n := copy(p, c.buf[c.r:c.w])
		c.r += n
		return n, nil
	}
	return c.in.Read(p)
}

// handle has an exchange served, and reports whether the connection goes on.
func (c *conn) handle(x *exchange) bool {
	defer x.cancel(nil)
	c.mu.Lock()
	c.ownRead = false
	c.ownWrite.Store(false)
	c.mu.Unlock()
	c.watch.begin(x)
	if !c.call(x) {
		c.watch.end()
		return false
	}
	if x.hijacked {
		return false
	}
	err := x.finish()
	c.watch.end()
	if err != nil {
		return false
	}
	if x.body.rest() {
		c.linger()
	}
	if len(c.buf) > usualHead && c.w-c.r <= usualHead { // a long head is no reason to keep much memory
		small := make([]byte, usualHead)
		c.w = copy(small, c.buf[c.r:c.w])
		c.r, c.buf = 0, small
	}
	return !x.ends
}

// call calls the handler. One that panics has its connection closed, as nobody knows what it has written.
func (c *conn) call(x *exchange) (returned bool) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // it is panicked with as it is
			c.srv.Log.Error("panic in a handler", "remote", c.remote, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	c.srv.Handler.ServeHTTP(x, x.request)
	return true
}

// decline answers a head that is none. Where there is no head, because the client has gone or takes too long, there is
// nobody to answer.
func (c *conn) decline(err error) {
	bad, ok := errors.AsType[*badHead](err)
	if !ok {
		return
	}
	x := newRefusal(c)
	defer x.cancel(nil)
	x.Header()["Connection"] = []string{"close"}
	c.srv.Refuse(x, bad.status, bad.why)
	if x.finish() == nil {
		c.linger()
	}
}

// linger ends the sending side and reads on for a moment: closing with bytes unread would tell the client's system to
// throw the answer away.
func (c *conn) linger() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.mu.Lock()
	c.setReadDeadline(time.Now().Add(lingering))
	c.mu.Unlock()
	for read := 0; read < oversent; {
		n, err := c.in.Read(c.buf)
		if err != nil {
			return
		}
		read += n
	}
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
