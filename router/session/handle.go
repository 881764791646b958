package session

import (
	"context"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

var _ rpc.Handler = (*Registry)(nil)

// Handle serves the methods that belong to the holder of a session: answers, GET
// streams, the session's end, its log level, and the notifications of legacy clients. A modern client
// has no session here, so what it sends is accepted and concerns nobody: it cancels
// by closing the stream.
func (r *Registry) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	if c.Client.Session == "" {
		return rpc.Respond(nil), nil
	}
	s, err := r.find(c)
	if err != nil {
		return nil, err
	}
	switch c.Method.Name {
	case mcp.SessionStream:
		return s.open(ctx)
	case mcp.SessionEnd:
		if err := r.leave(ctx, s); err != nil {
			return nil, err
		}
	case mcp.SessionAnswer:
		s.answer(c.Message)
	case mcp.SetLevel:
		return s.setLevel(ctx, c.Message)
	case mcp.Cancelled:
		s.cancelled(c.Message)
	}
	return rpc.Respond(nil), nil
}
