package policy

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// reviveTime bounds a call that is made to have a new answer and that nobody waits for.
const reviveTime = time.Minute

// revivals are the calls that nobody waits for.
type revivals struct {
	ending context.Context //nolint:containedctx // the life of all of them, ended by close
	end    context.CancelCauseFunc
	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
}

// run starts a call with the values of ctx, unless there shall be none any more.
func (r *revivals) run(ctx context.Context, call func(ctx context.Context)) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviveTime)
	stop := context.AfterFunc(r.ending, cancel)
	r.work.Go(func() {
		defer cancel()
		defer stop()
		call(ctx)
	})
	return true
}

func (r *revivals) close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.end(errors.New("the cache is closed"))
	done := make(chan struct{})
	go func() { r.work.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// revive fetches a new answer for one that is stale, unless somebody does already.
func (c *Cache) revive(ctx context.Context, call *rpc.Call, k cacheKeys, mark state.CacheMark, next rpc.Handler) {
	f, first := c.flights.join(k.own)
	if !first {
		return
	}
	again := call.Detach()
	again.Record = call.Record.Aside("refresh") // the other one is written by who serves the call
	started := c.revivals.run(ctx, func(ctx context.Context) {
		defer c.flights.land(k.own, f, landing{})
		defer func() {
			if v := recover(); v != nil { // there is nobody above who could
				c.log.ErrorContext(ctx, "panic", "method", again.Method.Name, "panic", v, "stack", string(debug.Stack()))
			}
		}()
		reply, err := next.Handle(ctx, again)
		if err != nil {
			return
		}
		defer reply.Close() //nolint:errcheck // nobody is there to be told
		r := &fetched{Reply: reply, cache: c, ctx: ctx, call: again, keys: k, mark: mark, flight: f}
		for {
			if m, err := r.Next(); err != nil || m.IsResponse() || m.IsRequest() {
				return
			}
		}
	})
	if !started {
		c.flights.land(k.own, f, landing{})
	}
}
