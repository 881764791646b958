package mcpserver

import (
	"context"
	"errors"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// check asks the server whether it is well: a modern one who it is, a legacy one by a ping. What it answers does not matter.
func (s *Server) check(ctx context.Context) error {
	_, l, err := s.linkFor(ctx, ownCall(mcp.Ping, nil))
	if err != nil {
		return err
	}
	m := rpc.NewRequest(rpc.NumberID(0), mcp.Ping, nil)
	if l.hop().era == rpc.Modern {
		m = discoverRequest(hello{info: s.info})
	}
	_, err = ask(ctx, l, m)
	if old, ok := errors.AsType[*stale](err); ok {
		s.discard(linkKey{era: l.hop().era}, l, old)
		return nil // it answered that it knows the session no more
	}
	if status, ok := errors.AsType[*statusError](err); ok && status.status < 500 {
		return nil
	}
	if err != nil && ctx.Err() == nil {
		s.blame(err)
	}
	return err
}
