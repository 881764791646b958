package policy

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/headgate/headgate/rpc"
)

// Recover turns a panic below it into an internal error, so that one call cannot end
// the process. It does not see panics inside [rpc.Reply.Next]; whoever pulls recovers
// from those.
func Recover(log *slog.Logger) rpc.Middleware {
	return func(next rpc.Handler) rpc.Handler {
		return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (reply *rpc.Reply, err error) {
			defer func() {
				if p := recover(); p != nil {
					log.ErrorContext(ctx, "panic in a call", "method", c.Method.Name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
					reply, err = nil, rpc.Errorf(rpc.Internal, "internal error")
				}
			}()
			return next.Handle(ctx, c)
		})
	}
}
