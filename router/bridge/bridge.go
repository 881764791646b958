package bridge

import (
	"context"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Payload converts the messages of replies whose upstream speaks another era than
// the client. Replies within one era pass untouched.
func Payload(next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		reply, err := next.Handle(ctx, c)
		if err != nil || reply.Revision == "" {
			return reply, err
		}
		spoken, known := mcp.Of(reply.Revision)
		if !known || spoken.Era == c.Client.Era {
			return reply, nil
		}
		converted := rpc.NewReply(&converter{Reply: reply, call: c})
		converted.Header, converted.Revision = reply.Header, reply.Revision
		return converted, nil
	})
}

// converter is a reply with each message converted as it is pulled.
type converter struct {
	*rpc.Reply
	call *rpc.Call
}

// Next implements [rpc.Source].
func (c *converter) Next() (*rpc.Message, error) {
	m, err := c.Reply.Next()
	if err != nil || !m.IsResponse() {
		return m, err
	}
	if c.call.Client.Era == rpc.Modern {
		return toModern(c.call, m), nil
	}
	return toLegacy(c.call, m), nil
}
