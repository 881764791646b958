package policy

import (
	"context"

	"github.com/headgate/headgate/rpc"
)

// Scoped refuses calls for whose method their principal has no scope, where that does
// not depend on what the call is about. It belongs before names are looked up: looking
// may take long, and whether there is something of a name is not for everybody to know.
// All else is left to [Access.Guard].
func (a *Access) Scoped(verbs Verbs, unscoped func(c *rpc.Call, method string) error) rpc.Middleware {
	return func(next rpc.Handler) rpc.Handler {
		if a.open {
			return next
		}
		return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			if c.Method.Subject != "" {
				if lacking := verbs.lacking(c); lacking != "" {
					return nil, unscoped(c, lacking)
				}
			}
			return next.Handle(ctx, c)
		})
	}
}
