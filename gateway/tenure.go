package gateway

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/headgate/headgate/rpc"
)

// tenure is the life of what generations share, an upstream or a model. Replies that are open hold it: what no generation has any more ends
// when they have.
type tenure struct {
	next rpc.Handler // who serves
	// instead serves calls of a generation that is over, which come when the rest has ended.
	instead rpc.HandlerFunc

	held    atomic.Int64 // calls and replies that hold it; far below zero once it takes no more
	parting atomic.Bool
	free    chan struct{} // gets a value when nothing holds it while it parts
	leaving func()
}

// ended is what the count of a tenure that takes no more calls begins with.
const ended = math.MinInt64 / 2

func newTenure(next rpc.Handler, instead rpc.HandlerFunc) *tenure {
	t := &tenure{next: next, instead: instead, free: make(chan struct{}, 1)}
	t.leaving = t.leave
	return t
}

// serve makes a call.
func (t *tenure) serve(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	if t.held.Add(1) <= 0 {
		t.leave()
		return t.instead(ctx, c)
	}
	served := false
	defer func() {
		if !served { // also where it panics
			t.leave()
		}
	}()
	reply, err := t.next.Handle(ctx, c)
	if err != nil {
		return nil, err
	}
	served = true
	reply.OnClose(t.leaving)
	return reply, nil
}

// leave is the end of a call.
func (t *tenure) leave() {
	if t.held.Add(-1) == 0 && t.parting.Load() {
		select {
		case t.free <- struct{}{}:
		default:
		}
	}
}

// part waits until nothing holds it, or ctx ends, and lets it take no more calls. It reports whether nothing
// held it in the end.
func (t *tenure) part(ctx context.Context) bool {
	t.parting.Store(true)
	for !t.held.CompareAndSwap(0, ended) {
		select {
		case <-t.free:
		case <-ctx.Done():
			return t.held.Add(ended) == ended
		}
	}
	return true
}
