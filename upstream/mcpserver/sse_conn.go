package mcpserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/upstream"
)

// maxPosts bounds the requests of one link that are being sent at once: some servers
// accept a request only when they have answered it.
const maxPosts = 64

// sseConn is the link over one session of HTTP+SSE. One goroutine reads the event stream,
// another one sends, each request in a goroutine of its own.
type sseConn struct {
	*duplex
	d      *sseDialer
	life   context.Context // of the event stream and of what is sent
	hangUp context.CancelCauseFunc
	resp   *upstream.Response
	events *frame.SSEReader
	post   *upstream.Endpoint
	queue  *outbox
	posts  chan struct{} // one for each request that is being sent
}

var _ wire = (*sseConn)(nil)

func newSSEConn(life context.Context, d *sseDialer, hangUp context.CancelCauseFunc, resp *upstream.Response) *sseConn {
	c := &sseConn{
		duplex: newDuplex(d.s, &shared, d.maxResult), d: d, life: life, hangUp: hangUp, resp: resp,
		events: frame.NewSSEReader(resp, d.maxResult), queue: newOutbox(&shared), posts: make(chan struct{}, maxPosts),
	}
	c.wire = c
	return c
}

// run begins to read and to send.
func (c *sseConn) run() {
	c.s.life.work.Go(func() { c.finish(c.read()) })
	c.s.life.work.Go(c.send)
}

// read takes messages from the event stream until it ends, and returns why it did.
func (c *sseConn) read() error {
	for {
		ev, err := c.events.Next()
		switch {
		case err != nil:
			return err
		case len(ev.Data) == 0, ev.Name != "" && ev.Name != "message":
			continue
		}
		b := c.pool.get()
		b.bytes = append(b.bytes, ev.Data...)
		c.receive(c.life, b)
	}
}

// send posts the messages in their order, but waits only for those of which no response is
// expected: what follows the handshake must not overtake its end.
func (c *sseConn) send() {
	for {
		m, open := c.queue.pop()
		if !open {
			return
		}
		if m.id == 0 {
			c.deliver(m, respondTimeout)
			continue
		}
		select {
		case c.posts <- struct{}{}:
		case <-c.life.Done():
			c.pool.put(m.buffer)
			continue
		}
		c.s.life.work.Go(func() {
			c.deliver(m, c.s.cfg.Timeout)
			<-c.posts
		})
	}
}

// deliver posts one message. That it was not taken fails its call; that the server was too slow to
// say so does not, for the response may come nevertheless.
func (c *sseConn) deliver(m outgoing, within time.Duration) {
	ctx, cancel := context.WithTimeout(c.life, within)
	defer cancel()
	resp, err := c.d.client.Do(ctx, &upstream.Request{Method: http.MethodPost, Endpoint: c.post, Body: m.buffer.bytes})
	c.pool.put(m.buffer)
	var refused *rpc.Error
	switch {
	case err == nil:
		if resp.Status < 200 || resp.Status >= 300 {
			refused = c.s.fault.refused(resp, nil)
		}
		_ = resp.Close()
	case ctx.Err() == nil:
		refused = c.s.fault.exchangeFault(err, "cannot be reached")
	}
	if refused == nil {
		return
	}
	if k := c.take(m.id); k != nil {
		k.box.fail(refused)
		return
	}
	c.s.log.DebugContext(ctx, "message was not taken", "error", refused.Error())
}

// write implements [wire].
func (c *sseConn) write(id uint64, b *buffer) error { return c.queue.push(id, b) }

// withdraw implements [wire].
func (c *sseConn) withdraw(id uint64) bool { return c.queue.withdraw(id) }

// stop implements [wire]: the session ends with its stream.
func (c *sseConn) stop(context.Context) { c.hangUp(errClosed) }

// finish ends the link when nothing more can be read.
func (c *sseConn) finish(why error) {
	_ = c.resp.Close()
	c.hangUp(errClosed)
	c.queue.close()
	c.end(func(closing, _ bool) *rpc.Error {
		switch {
		case closing:
			return c.s.fault.down(errClosed, "was shut down")
		case errors.Is(why, frame.ErrTooLong):
			return c.s.fault.failed(why, "sent an event that exceeds the size limit")
		case errors.Is(why, io.EOF):
			return c.s.fault.down(io.ErrUnexpectedEOF, "ended its event stream, and with it the session")
		}
		return c.s.fault.exchangeFault(why, "broke off its event stream")
	})
}
