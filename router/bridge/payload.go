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
		if err != nil || !crosses(c, reply) {
			return reply, err
		}
		return wrap(reply, &converter{Reply: reply, call: c}), nil
	})
}

// crosses reports whether a reply comes from the other era than its client's.
func crosses(c *rpc.Call, reply *rpc.Reply) bool {
	spoken, known := mcp.Of(reply.Revision)
	return known && spoken.Era != c.Client.Era
}

// wrap returns a reply that pulls from s and is in all else the one given.
func wrap(reply *rpc.Reply, s rpc.Source) *rpc.Reply {
	out := rpc.NewReply(s)
	out.Header, out.Revision = reply.Header, reply.Revision
	return out
}

// converter is a reply with each message converted as it is pulled.
type converter struct {
	*rpc.Reply
	call *rpc.Call
}

// Next implements [rpc.Source].
func (c *converter) Next() (*rpc.Message, error) {
	for {
		m, err := c.Reply.Next()
		switch {
		case err != nil:
			return nil, err
		case m.IsRequest() && c.call.Client.Era == rpc.Modern:
			_ = c.Answer(refusal(m.ID)) // a server that cannot be told does not wait either
		case !m.IsResponse():
			return m, nil
		case c.call.Client.Era == rpc.Modern:
			return toModern(c.call, m), nil
		default:
			return toLegacy(c.call, m), nil
		}
	}
}

// refusal answers a question that the client cannot be asked.
func refusal(id rpc.ID) *rpc.Message {
	return rpc.NewError(id, &rpc.WireError{Code: mcp.CodeMethodNotFound, Message: "the client cannot be asked this"})
}
