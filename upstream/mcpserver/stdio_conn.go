package mcpserver

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// maxOrphans bounds the questions that wait for a call to hang on.
const maxOrphans = 8

// stdioConn is the link to one process. One goroutine reads what the process writes
// and gives it to the calls it belongs to; another one writes.
type stdioConn struct {
	s     *Server
	d     *stdioDialer
	proc  *process
	pool  *pool
	queue *lineQueue
	gone  chan struct{} // closed when the link has ended and all calls know it

	spoken  atomic.Pointer[hop]
	about   atomic.Pointer[Description]
	ids     atomic.Uint64
	garbage ration
	strays  ration

	unanswered bool // the probe was not answered in time; for whoever shakes hands

	mu      sync.Mutex
	calls   map[uint64]*stdioCall
	orphans []parcel // questions that came while no call was in flight
	useful  bool     // a client's call was answered
	failure *rpc.Error
	closing bool
}

var _ link = (*stdioConn)(nil)

func (c *stdioConn) hop() *hop                 { return c.spoken.Load() }
func (c *stdioConn) description() *Description { return c.about.Load() }

func (c *stdioConn) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure == nil && !c.closing
}

func (c *stdioConn) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.calls) > 0
}

// send implements [link].
func (c *stdioConn) send(ctx context.Context, x *exchange) (rpc.Source, error) {
	if x.message.IsNotification() {
		return silence{}, c.post(x.message)
	}
	x.number(c.ids.Add(1))
	b := c.pool.get()
	b.bytes = x.message.AppendTo(b.bytes)
	k := &stdioCall{ctx: ctx, conn: c, x: x, box: inbox{limit: c.d.maxResult}}
	if err := c.register(k); err != nil {
		c.pool.put(b)
		return nil, err
	}
	if err := c.push(x.id, b); err != nil {
		c.forget(x.id)
		return nil, err
	}
	return k, nil
}

// register makes a call known to the reader. A link that has ended takes none.
func (c *stdioConn) register(k *stdioCall) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		return &stale{cause: c.failure}
	}
	c.calls[k.x.id] = k
	if !k.x.own {
		for _, p := range c.orphans {
			k.box.put(p)
		}
		c.orphans = nil
	}
	return nil
}

// forget removes a call and reports whether it was in flight.
func (c *stdioConn) forget(id uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.calls[id]
	delete(c.calls, id)
	return ok
}

// push queues a line. That the process does not read its input is no reason to give up the
// calls that it is working on.
func (c *stdioConn) push(id uint64, b *buffer) error {
	switch err := c.queue.push(id, b); {
	case errors.Is(err, errQueueClosed):
		return c.s.fault.down(err, "is ending")
	case err != nil:
		return c.s.fault.make(rpc.Busy, err, "does not read its input")
	}
	return nil
}

// post queues a message of which no response is expected.
func (c *stdioConn) post(m *rpc.Message) error {
	b := c.pool.get()
	b.bytes = m.AppendTo(b.bytes)
	return c.push(0, b)
}

// abandon gives up a call, and tells the process unless it has not seen it yet
// (MCP 2025-11-25 and 2026-07-28, Cancellation). Without a call in flight nothing happens.
func (c *stdioConn) abandon(x *exchange, reason string) {
	if !c.forget(x.id) || c.queue.withdraw(x.id) || x.own {
		return
	}
	_ = c.post(cancellation(x.id, reason)) // a process that cannot be told does not matter any more
}

// cancellation builds the notification that ends a call.
func cancellation(id uint64, reason string) *rpc.Message {
	p := strconv.AppendUint([]byte(`{"requestId":`), id, 10)
	p = rpc.AppendString(append(p, `,"reason":`...), reason)
	return rpc.NewNotification(mcp.Cancelled, append(p, '}'))
}

// close implements [link].
func (c *stdioConn) close(ctx context.Context) {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.proc.stop(ctx)
	<-c.gone
}

// finish ends the link when the process has closed its output. It waits for the end
// of the process itself, because how it ended is what the calls in flight have to say.
func (c *stdioConn) finish() {
	timer := time.AfterFunc(closeGrace, c.proc.kill)
	<-c.proc.exited
	timer.Stop()
	closeFiles(c.proc.stdout)
	c.queue.close()

	c.mu.Lock()
	c.failure = c.obituary()
	calls, useful, closing := c.calls, c.useful, c.closing
	c.calls = nil
	for _, p := range c.orphans {
		c.pool.put(p.buffer)
	}
	c.orphans = nil
	c.mu.Unlock()

	if !closing {
		c.d.noteEnd(useful, c.failure)
		c.s.ended(c, c.failure)
	}
	for _, k := range calls {
		k.box.fail(c.failure)
	}
	close(c.gone)
}

// obituary says how the process ended and what it said last.
func (c *stdioConn) obituary() *rpc.Error {
	if c.closing {
		return c.s.fault.down(errClosed, "was shut down")
	}
	if quote := c.proc.tail.quote(); quote != "" {
		return c.s.fault.down(nil, "ended (%s); its last words: %s", c.proc.status, quote)
	}
	return c.s.fault.down(nil, "ended (%s)", c.proc.status)
}

// silence is the reply to a notification.
type silence struct{}

func (silence) Next() (*rpc.Message, error) { return nil, io.EOF }
func (silence) Answer(*rpc.Message) error   { return rpc.ErrNoQuestion }
func (silence) Close() error                { return nil }
