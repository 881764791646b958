package mcpserver

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// maxOrphans bounds the questions that wait for a call to hang on.
const maxOrphans = 8

// duplex is a link on which all messages travel in one channel each way: a process, a
// WebSocket, HTTP+SSE. Its transport reads what the server sends and hands it to route,
// which gives it to the calls it belongs to.
type duplex struct {
	s     *Server
	wire  wire
	pool  *pool
	limit int           // bytes of one message, and of what waits for one call
	gone  chan struct{} // closed when the link has ended and all calls know it

	spoken atomic.Pointer[hop]
	about  atomic.Pointer[Description]
	ids    atomic.Uint64
	strays ration
	// garbage rations complaints of what is no message.
	garbage ration

	unanswered bool // the probe was not answered in time; for whoever shakes hands

	mu      sync.Mutex
	calls   map[uint64]*duplexCall
	orphans []parcel // questions that came while no call was in flight
	turns   bool     // calls of several clients take turns
	served  bool     // a client's call was sent
	useful  bool     // a client's call was answered
	failure *rpc.Error
	closing bool
}

// wire is what a transport does for its link. All methods may be called concurrently.
type wire interface {
	// write sends a message, or queues it to be sent. The id is the call's; 0 for what
	// is no call. The wire owns the buffer from now on, whatever it returns.
	write(id uint64, b *buffer) error
	// withdraw takes a call's message back and reports whether that was still possible.
	withdraw(id uint64) bool
	// stop ends the connection in the way the transport has for that, as long as ctx lasts,
	// and then without ceremony. The link then ends by itself.
	stop(ctx context.Context)
}

var _ link = (*duplex)(nil)

func newDuplex(s *Server, p *pool, limit int) *duplex {
	return &duplex{s: s, pool: p, limit: limit, gone: make(chan struct{}), calls: map[uint64]*duplexCall{}}
}

func (c *duplex) hop() *hop                 { return c.spoken.Load() }
func (c *duplex) description() *Description { return c.about.Load() }

func (c *duplex) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure == nil && !c.closing
}

func (c *duplex) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.calls) > 0
}

// send implements [link].
func (c *duplex) send(ctx context.Context, x *exchange) (rpc.Source, error) {
	if x.message.IsNotification() {
		err := c.post(x.message)
		if err == nil {
			x.try.End(io.EOF)
		}
		return silence{}, err
	}
	x.number(c.ids.Add(1))
	b := c.pool.get()
	b.bytes = x.message.AppendTo(b.bytes)
	k := &duplexCall{ctx: ctx, conn: c, x: x, box: inbox{limit: c.limit}}
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
func (c *duplex) register(k *duplexCall) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		return &stale{cause: c.failure}
	}
	c.calls[k.x.id] = k
	if k.x.mayBeAsked() {
		c.served = true
		for _, p := range c.orphans {
			k.box.put(p)
		}
		c.orphans = nil
	}
	return nil
}

// forget removes a call and reports whether it was in flight.
func (c *duplex) forget(id uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.calls[id]
	delete(c.calls, id)
	return ok
}

// push sends a message. That the server does not read its input is no reason to give up the
// calls that it is working on.
func (c *duplex) push(id uint64, b *buffer) error {
	switch err := c.wire.write(id, b); {
	case errors.Is(err, errQueueClosed):
		return marked(c.s.fault.down(err, "is ending"))
	case errors.Is(err, errQueueFull):
		return c.s.fault.make(rpc.Busy, err, "does not read its input")
	default:
		return err
	}
}

// post sends a message of which no response is expected.
func (c *duplex) post(m *rpc.Message) error {
	b := c.pool.get()
	b.bytes = m.AppendTo(b.bytes)
	return c.push(0, b)
}

// abandon gives up a call, and tells the server unless it has not seen it yet
// (MCP 2025-11-25 and 2026-07-28, Cancellation). Without a call in flight nothing happens.
func (c *duplex) abandon(x *exchange, reason string) {
	if !c.forget(x.id) || c.wire.withdraw(x.id) || x.own && !x.standing {
		return
	}
	_ = c.post(mcp.NewCancelled(rpc.NumberID(x.id), reason)) // a server that cannot be told does not matter any more
}

// close implements [link].
func (c *duplex) close(ctx context.Context) {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.wire.stop(ctx)
	<-c.gone
}

// end tells the calls in flight how the link ended, and takes no more. Transports call it
// once, when nothing more can arrive. What they say of the end is told whether the link was being
// closed, and whether it was of use before.
func (c *duplex) end(obituary func(closing, useful bool) *rpc.Error) {
	c.mu.Lock()
	c.failure = obituary(c.closing, c.useful)
	calls, closing := c.calls, c.closing
	c.calls = nil
	for _, p := range c.orphans {
		c.pool.put(p.buffer)
	}
	c.orphans = nil
	c.mu.Unlock()
	if !closing {
		c.s.ended(c, c.failure)
	}
	for _, k := range calls {
		k.box.fail(c.failure)
	}
	close(c.gone)
}

// silence is the reply to a notification.
type silence struct{}

func (silence) Next() (*rpc.Message, error) { return nil, io.EOF }
func (silence) Answer(*rpc.Message) error   { return rpc.ErrNoQuestion }
func (silence) Close() error                { return nil }
