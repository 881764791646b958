package policy

import (
	"context"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// watch counts a call where a limit refuses nothing, and says what it would have refused.
// It returns what was paid, which is nothing if it would have.
func (l *Limits) watch(ctx context.Context, c *rpc.Call, each *limit, id state.HoldID, ttl time.Duration) *bill {
	b := l.billFor(c, []*limit{each})
	if len(b.charges) == 0 {
		return b
	}
	balances, err := l.quota.Reserve(ctx, id, b.charges, ttl, b.balances[:0])
	if err != nil {
		l.exceeded(ctx, c, b)
		b.reset()
		return b
	}
	b.balances = balances
	return b
}

// exceeded says that a limit which is watched would have refused something.
func (l *Limits) exceeded(ctx context.Context, c *rpc.Call, b *bill) {
	if b.limits[0].Mode == "warn" {
		l.warn(ctx, c, b.limits[0], b.charges[0].Bucket, time.Minute, "limit exceeded, not enforced")
	}
}

// observe makes calls be counted by the budgets that refuse nothing.
func (l *Limits) observe(next rpc.Handler, continues func(*rpc.Call) bool) rpc.Handler {
	for _, each := range l.watched.budgets {
		next = l.observed(each, next, continues)
	}
	return next
}

func (l *Limits) observed(each *limit, next rpc.Handler, continues func(*rpc.Call) bool) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if !c.Message.IsRequest() || each.Unit != unitBytes && continues(c) {
			return next.Handle(ctx, c)
		}
		if !each.lasts() {
			b := l.watch(ctx, c, each, state.HoldID{}, 0)
			l.watchShares(ctx, c, b)
			l.put(b)
			return next.Handle(ctx, c)
		}
		id := newHold()
		b := l.watch(ctx, c, each, id, holdTime)
		if len(b.charges) == 0 {
			l.put(b)
			return next.Handle(ctx, c)
		}
		l.watchShares(ctx, c, b)
		return l.hold(ctx, c, b, id, next)
	})
}
