package pin

import (
	"context"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Guard keeps calls from upstreams that are blocked. It is a policy, above whatever could answer in their stead.
// The modes are those of the configuration that it belongs to.
func (b *Book) Guard(modes map[string]Mode) rpc.Middleware {
	return func(next rpc.Handler) rpc.Handler {
		for _, mode := range modes {
			if mode == Block {
				return b.guarded(next, func(c *rpc.Call) string { return c.Target.Upstream })
			}
		}
		return next
	}
}

// Gate is Guard for what is asked of one upstream, whatever the call is about: who looks for a resource asks several. Who asks what
// the upstream lists, to find out whether it is still blocked, must not go through it.
func (b *Book) Gate(upstream string, mode Mode, next rpc.Handler) rpc.Handler {
	if mode != Block {
		return next
	}
	return b.guarded(next, func(*rpc.Call) string { return upstream })
}

func (b *Book) guarded(next rpc.Handler, of func(*rpc.Call) string) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		upstream := of(c)
		// What ends work is let through.
		if flag := b.known.Load().blocked[upstream]; flag != nil && flag.Load() && !c.Message.IsNotification() && c.Method.Name != mcp.TasksCancel {
			return nil, refusal(upstream)
		}
		return next.Handle(ctx, c)
	})
}

func refusal(upstream string) *rpc.Error {
	e := rpc.Errorf(rpc.Forbidden, "upstream %q is blocked: what it lists is not what was approved; its operator can look with headgate pins diff", upstream)
	e.Upstream = upstream
	return e
}
