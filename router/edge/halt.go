package edge

import (
	"context"

	"github.com/headgate/headgate/rpc"
)

// An operator can end any call. The calls of sessions and of connections that carry many have a context of their own to be
// ended by, plain HTTP/1.1 has one for each request, and the others are given one.

// cancelling is an answer whose request somebody else can end.
type cancelling interface{ Cancel(cause error) }

// haltable returns a context that can be ended with its exchange's call alone.
func (x *exchange) haltable(ctx context.Context) context.Context {
	if _, ok := x.w.(cancelling); ok {
		return ctx
	}
	ctx, x.halt = context.WithCancelCause(ctx)
	return ctx
}

var _ rpc.Stopper = (*exchange)(nil)

// Stop implements [rpc.Stopper].
func (x *exchange) Stop(cause error) {
	switch {
	case x.cancel != nil:
		x.cancel(cause)
	case x.stop != nil:
		x.stop(cause)
	case x.halt != nil:
		x.halt(cause)
	default:
		if w, ok := x.w.(cancelling); ok {
			w.Cancel(cause)
		}
	}
}
