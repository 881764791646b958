package mcpserver

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/rpc/mcp"
)

// errTooLong is why a line is not read that exceeds the limit.
var errTooLong = errors.New("it exceeds the size limit")

// read takes lines from the process until it closes its output.
func (c *stdioConn) read(ctx context.Context) {
	defer c.finish()
	lines := frame.NewLineReader(c.proc.stdout, c.d.maxResult)
	for {
		line, err := lines.Next()
		switch {
		case errors.Is(err, frame.ErrTooLong):
			c.reject(ctx, line, errTooLong)
		case err != nil:
			return
		default:
			c.receive(ctx, line)
		}
	}
}

// receive reads one line as a message and gives it to whom it belongs.
func (c *stdioConn) receive(ctx context.Context, line []byte) {
	b := c.pool.get()
	b.bytes = append(b.bytes, line...)
	m, err := rpc.Parse(b.bytes, upstreamLimits)
	if err != nil {
		c.reject(ctx, line, err)
		c.pool.put(b)
		return
	}
	if !c.route(ctx, parcel{m, b}) {
		c.pool.put(b)
	}
}

// reject deals with a line that is no message: a banner, a stray print, a damaged or an
// oversized response. The call that it answers fails, if that can be told; the process
// and its other calls go on.
func (c *stdioConn) reject(ctx context.Context, line []byte, why error) {
	if skipped, ok := c.garbage.take(time.Now()); ok {
		c.s.log.WarnContext(ctx, "server wrote what is no message to stdout",
			"line", rpc.Excerpt(string(bytes.TrimSpace(line[:min(len(line), edge)]))), "error", why.Error(), "skipped", skipped)
	}
	if !looksLikeResponse(line, !errors.Is(why, errTooLong)) {
		return
	}
	id, ok := blamed(line)
	if !ok {
		id, ok = c.only()
	}
	if k := c.take(id); ok && k != nil {
		k.box.fail(c.s.fault.failed(why, "gave an answer that cannot be read"))
	}
}

// only returns the call in flight if there is just one.
func (c *stdioConn) only() (id uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id = range c.calls {
		return id, len(c.calls) == 1
	}
	return 0, false
}

// route gives a message to the call it belongs to, or answers it. It reports whether
// the parcel was passed on.
func (c *stdioConn) route(ctx context.Context, p parcel) bool {
	m := p.message
	switch {
	case m.IsResponse():
		return c.routeResponse(ctx, p)
	case m.IsRequest():
		return c.routeQuestion(ctx, p)
	case m.Method == mcp.Progress:
		k := c.find(progressOf(m))
		return k != nil && k.box.put(p)
	case judgeNotification(m) == announce:
		c.s.announce(m)
		return false
	}
	k := c.candidate()
	return k != nil && k.box.put(p)
}

// routeResponse gives a response to its call. Late ones, to calls that were given up,
// belong to nobody.
func (c *stdioConn) routeResponse(ctx context.Context, p parcel) bool {
	id, ok := ours(p.message.ID)
	if p.message.ID.IsZero() {
		id, ok = c.only() // an error that answers what could not be read
	}
	k := c.take(id)
	if !ok || k == nil {
		c.stray(ctx, "response to no call in flight", p.message.ID.String())
		return false
	}
	return k.box.put(p)
}

// routeQuestion answers a request of the server's own, or passes it on to the client
// that may be asked. On a link of a client's own any call of that client will do; which one it
// belongs to, stdio does not tell. One that comes between calls, as right after the
// handshake, waits for the next.
func (c *stdioConn) routeQuestion(ctx context.Context, p parcel) bool {
	m := p.message
	switch c.hop().judgeQuestion(m) {
	case pong:
		_ = c.post(rpc.NewResult(m.ID, []byte("{}"))) // who does not read need not be answered
	case deny:
		_ = c.post(refusal(m))
	case relay:
		if k := c.candidate(); k != nil {
			return k.box.put(p)
		}
		return c.adopt(p)
	default:
		c.stray(ctx, "request, which the era does not have", m.Method)
	}
	return false
}

// refusal answers a question that nobody can be asked.
func refusal(m *rpc.Message) *rpc.Message {
	return rpc.NewError(m.ID, &rpc.WireError{Code: mcp.CodeMethodNotFound, Message: "the client cannot be asked this"})
}

// adopt keeps a question for the next call.
func (c *stdioConn) adopt(p parcel) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.orphans) >= maxOrphans || c.failure != nil {
		return false
	}
	c.orphans = append(c.orphans, p)
	return true
}

// candidate returns the call that a message belongs to which does not say so: the only
// one in flight or, if all are of one client, the newest; else nil.
func (c *stdioConn) candidate() *stdioCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	var newest *stdioCall
	calls := 0
	for id, k := range c.calls {
		if k.x.own {
			continue
		}
		calls++
		if newest == nil || id > newest.x.id {
			newest = k
		}
	}
	if calls > 1 && c.hop().caps == nil {
		return nil
	}
	return newest
}

func (c *stdioConn) find(id uint64) *stdioCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[id]
}

// take returns a call and removes it from those in flight.
func (c *stdioConn) take(id uint64) *stdioCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.calls[id]
	if k != nil {
		delete(c.calls, id)
		c.useful = c.useful || !k.x.own
	}
	return k
}

// stray logs a message that is nobody's.
func (c *stdioConn) stray(ctx context.Context, what, which string) {
	if skipped, ok := c.strays.take(time.Now()); ok {
		c.s.log.DebugContext(ctx, "server sent what belongs to no call",
			"what", what, "which", rpc.Excerpt(which), "skipped", skipped)
	}
}
