package mcpserver

import (
	"context"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// only returns the call in flight if there is just one.
func (c *duplex) only() (id uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := 0
	for n, k := range c.calls {
		if !k.x.standing {
			id, calls = n, calls+1
		}
	}
	if calls != 1 {
		return 0, false
	}
	return id, true
}

// subscriptionOf returns the request whose subscription a notification belongs to; 0
// if it is none of ours.
func subscriptionOf(m *rpc.Message) uint64 {
	text, _ := m.Meta(mcp.MetaSubscription)
	id, err := rpc.ParseID(text)
	if err != nil {
		return 0
	}
	n, _ := ours(id)
	return n
}

// route gives a message to the call it belongs to, or answers it. It reports whether
// the parcel was passed on.
func (c *duplex) route(ctx context.Context, p parcel) bool {
	m := p.message
	switch {
	case m.IsResponse():
		return c.routeResponse(ctx, p)
	case m.IsRequest():
		return c.routeQuestion(ctx, p)
	case m.Method == mcp.Progress:
		k := c.find(progressOf(m))
		if k == nil {
			c.s.tasks.progress(c, m)
		}
		return k != nil && k.box.put(p)
	case m.Method == mcp.Acknowledged:
		k := c.find(subscriptionOf(m))
		return k != nil && k.box.put(p)
	case m.Method == mcp.Cancelled && c.hop().era == rpc.Legacy:
		k := c.asker(m)
		return k != nil && k.box.put(p)
	case m.Method == mcp.Cancelled:
		c.tornDown(m)
		return false
	case judgeNotification(m) == announce:
		c.s.announce(m)
		return false
	case m.Method == mcp.LogMessage && c.idle():
		c.s.logAside(c, m)
		return false
	}
	k := c.candidate()
	if k == nil && m.Method == mcp.ElicitationComplete {
		c.s.visited(c, m)
	}
	return k != nil && k.box.put(p)
}

// tornDown ends a subscription that the server gives up by cancelling it, where others
// end it by its result (MCP 2026-07-28, Subscriptions; Cancellation).
func (c *duplex) tornDown(m *rpc.Message) {
	named, _ := mcp.CancelledID(m)
	id, _ := ours(named)
	if k := c.find(id); k != nil && k.x.standing {
		c.forget(id)
		k.box.fail(c.s.fault.failed(nil, "ended the subscription"))
	}
}

// routeResponse gives a response to its call. Late ones, to calls that were given up,
// belong to nobody.
func (c *duplex) routeResponse(ctx context.Context, p parcel) bool {
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
// belongs to, the transport does not tell. One that comes between calls, as right after the
// handshake, waits for the next.
func (c *duplex) routeQuestion(ctx context.Context, p parcel) bool {
	m := p.message
	switch c.hop().judgeQuestion(m) {
	case pong:
		_ = c.post(rpc.NewResult(m.ID, []byte("{}"))) // who does not read need not be answered
	case deny:
		_ = c.post(refusal(m.ID))
	case relay:
		if k := c.candidate(); k != nil {
			return k.box.put(p)
		}
		if c.adopt(p) {
			return true
		}
		_ = c.post(refusal(m.ID))
	default:
		c.stray(ctx, "request, which the era does not have", m.Method)
	}
	return false
}

// refusal answers a question that nobody can be asked, or can be asked any more.
func refusal(id rpc.ID) *rpc.Message {
	return rpc.NewError(id, &rpc.WireError{Code: mcp.CodeMethodNotFound, Message: "the client cannot be asked this"})
}

// adopt keeps a question for the next call, unless that can be another client's.
func (c *duplex) adopt(p parcel) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.orphans) >= maxOrphans || c.failure != nil || c.turns && c.served {
		return false
	}
	c.orphans = append(c.orphans, p)
	return true
}

// candidate returns the call that a message belongs to which does not say so: the only
// one in flight or, if all are of one client, the newest; else nil.
func (c *duplex) candidate() *duplexCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	var newest *duplexCall
	calls := 0
	for id, k := range c.calls {
		if k.x.own {
			continue
		}
		calls++
		if k.x.mayBeAsked() && (newest == nil || id > newest.x.id) {
			newest = k
		}
	}
	if calls > 1 && c.hop().caps == nil {
		return nil
	}
	return newest
}

// idle reports whether no client's call is in flight.
func (c *duplex) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.calls {
		if !k.x.own {
			return false
		}
	}
	return true
}

func (c *duplex) find(id uint64) *duplexCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[id]
}

// take returns a call and removes it from those in flight.
func (c *duplex) take(id uint64) *duplexCall {
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
func (c *duplex) stray(ctx context.Context, what, which string) {
	if skipped, ok := c.strays.take(time.Now()); ok {
		c.s.log.DebugContext(ctx, "server sent what belongs to no call",
			"what", what, "which", rpc.Excerpt(which), "skipped", skipped)
	}
}
