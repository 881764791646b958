package policy

import (
	"context"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// holdTime is how long a hold outlives whoever should renew it.
const holdTime = 2 * time.Minute

// Budget makes calls pay to the budgets that concern them, and hold slots while they
// run. What a call turns out to cost beyond that is paid before it is passed on, so that
// nobody gets more than a budget has. A call that continues one which is still held pays
// for its bytes alone.
func (l *Limits) Budget(continues func(*rpc.Call) bool) rpc.Middleware {
	return func(next rpc.Handler) rpc.Handler {
		next = l.observe(next, continues)
		if len(l.budgets) == 0 {
			return next
		}
		return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			if !c.Message.IsRequest() {
				return next.Handle(ctx, c)
			}
			budgets := l.budgets
			if continues(c) {
				budgets = l.traffic
			}
			b := l.billFor(c, budgets)
			if len(b.charges) == 0 {
				l.put(b)
				return next.Handle(ctx, c)
			}
			return l.charge(ctx, c, b, next)
		})
	}
}

func (l *Limits) charge(ctx context.Context, c *rpc.Call, b *bill, next rpc.Handler) (*rpc.Reply, error) {
	var id state.HoldID
	var ttl time.Duration
	for _, each := range b.limits {
		if each.lasts() {
			id, ttl = newHold(), holdTime
			break
		}
	}
	var err error
	if b.balances, err = l.quota.Reserve(ctx, id, b.charges, ttl, b.balances[:0]); err != nil {
		defer l.put(b)
		return nil, l.refusal(c, b, err)
	}
	l.watchShares(ctx, c, b)
	fields := b.fields()
	if ttl == 0 {
		l.put(b)
		reply, err := next.Handle(ctx, c)
		if err == nil {
			fields.addTo(reply)
		}
		return reply, err
	}
	reply, err := l.hold(ctx, c, b, id, next)
	if err == nil {
		fields.addTo(reply)
	}
	return reply, err
}

// hold makes a call that holds what was reserved for it until its reply is closed.
func (l *Limits) hold(ctx context.Context, c *rpc.Call, b *bill, id state.HoldID, next rpc.Handler) (*rpc.Reply, error) {
	if c.Record == nil && b.demand.Input > 0 { // what it takes of a model is read there
		recorded := *c
		recorded.Record = &rpc.Record{}
		c = &recorded
	}
	h := newHeld(ctx, l, c, b, id)
	if c.Record != nil {
		h.beside, c.Record.Stake = c.Record.Stake, h
	}
	served := false
	defer func() {
		if !served { // also where it panics: nobody above knows what is held
			h.drop()
		}
	}()
	if h.metered != nil {
		c = h.metered.inChunks(c)
	}
	reply, err := next.Handle(ctx, c)
	if err != nil {
		return nil, err
	}
	served = true
	return h.wrap(reply), nil
}

// watchShares warns of budgets that are used up to the share that the configuration
// names.
func (l *Limits) watchShares(ctx context.Context, c *rpc.Call, b *bill) {
	for i, each := range b.limits {
		if each.WarnAt == 0 {
			continue
		}
		balance := b.balances[i]
		if (balance.Limit-balance.Remaining)*100 >= balance.Limit*int64(each.WarnAt) {
			l.warn(ctx, c, each, b.charges[i].Bucket, max(balance.Reset, time.Minute), "limit nearly used up")
		}
	}
}
