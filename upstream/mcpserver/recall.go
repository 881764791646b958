package mcpserver

import (
	"slices"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Servers of the legacy era can take a question back by cancelling it, as some do when
// it was not answered in time (MCP 2025-11-25, Cancellation). They name it by their own id, which
// whoever asked the client has to put in the client's terms.

// takeCancelled closes a question that its server has taken back.
func (x *exchange) takeCancelled(m *rpc.Message) verdict {
	if id, ok := mcp.CancelledID(m); ok && x.settle(id) {
		return relay
	}
	return discard
}

// open reports whether a question is open.
func (x *exchange) open(id rpc.ID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.asks(id) >= 0
}

// asker returns the call that carried the question which a notification takes back. One that
// waits for a call is forgotten; one that its call's client has not read yet is in the newest.
func (c *duplex) asker(m *rpc.Message) *duplexCall {
	id, ok := mcp.CancelledID(m)
	if !ok || c.hop().caps == nil {
		return nil
	}
	c.mu.Lock()
	c.orphans = slices.DeleteFunc(c.orphans, func(p parcel) bool {
		same := p.message.ID.Key() == id.Key()
		if same {
			c.pool.put(p.buffer)
		}
		return same
	})
	for _, k := range c.calls {
		if k.x.open(id) {
			c.mu.Unlock()
			return k
		}
	}
	c.mu.Unlock()
	return c.candidate()
}

// recall takes back a question of the session's stream.
func (l *legacyHTTP) recall(m *rpc.Message) {
	id, ok := mcp.CancelledID(m)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.orphans = slices.DeleteFunc(l.orphans, func(q *rpc.Message) bool { return q.ID.Key() == id.Key() })
	for _, k := range l.calls {
		if k.questions == nil || !k.x.settle(id) {
			continue
		}
		select {
		case k.questions <- m.Clone():
		default: // the client reads too slowly; what it answers is dropped
		}
		return
	}
}
