package edge

import (
	"context"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Outlets of requests on a connection of many messages, one in front of the other.

// unlessCancelled is the outlet of one request. Of one that the client cancelled
// nothing more is heard (MCP 2026-07-28, Cancellation).
type unlessCancelled struct {
	outlet
	ctx context.Context
}

func (o *unlessCancelled) send(m *rpc.Message) bool { return o.ctx.Err() == nil && o.outlet.send(m) }

func (o *unlessCancelled) finish(m *rpc.Message, status int) {
	if o.ctx.Err() == nil || failure(context.Cause(o.ctx)).Code != rpc.Cancelled {
		o.outlet.finish(m, status)
	}
}

// farewell is the outlet of a subscription. One that ends on a connection of many has
// its result (MCP 2026-07-28, Subscriptions) and is cancelled (the same, Cancellation):
// clients wait for the one or for the other.
type farewell struct {
	outlet
	id rpc.ID
}

func (o *farewell) finish(m *rpc.Message, status int) {
	o.outlet.finish(m, status)
	if m.Err == nil {
		o.outlet.send(mcp.NewCancelled(o.id, "the subscription has ended"))
	}
}

// inCalls is the outlet of a request that its dialogue knows by its id, until the
// response says to the client that the id is free.
type inCalls struct {
	outlet
	d  *dialogue
	id rpc.ID
}

func (o *inCalls) finish(m *rpc.Message, status int) {
	o.d.forget(o.id)
	o.outlet.finish(m, status)
}
