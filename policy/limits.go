package policy

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// Limits charges calls to everybody whose limits they count against: all of them or, if
// one refuses, none. It may be used by many goroutines at once.
type Limits struct {
	quota   state.Quota
	meter   Meter
	log     *slog.Logger
	rates   []*limit                          // enforced, paid by every request
	budgets []*limit                          // enforced, paid by what the cache does not answer
	traffic []*limit                          // those of them that count bytes
	watched struct{ rates, budgets []*limit } // which refuse nothing
	warned  *recentWarnings
	charges sync.Pool // *bill
}

// NewLimits returns the limits of a configuration, counted by an engine. What calls of models take is what the meter says.
func NewLimits(limits []config.Limit, quota state.Quota, meter Meter, log *slog.Logger) (*Limits, error) {
	out := &Limits{quota: quota, meter: meter, log: log, warned: newRecentWarnings()}
	out.charges.New = func() any { return new(bill) }
	for _, c := range limits {
		l, err := newLimit(c)
		switch {
		case err != nil:
			return nil, fmt.Errorf("limit %q: %w", c.Name, err)
		case c.Mode != "enforce" && l.counted.Kind == state.Rate:
			out.watched.rates = append(out.watched.rates, l)
		case c.Mode != "enforce":
			out.watched.budgets = append(out.watched.budgets, l)
		case l.counted.Kind == state.Rate:
			out.rates = append(out.rates, l)
		default:
			out.budgets = append(out.budgets, l)
			if l.Unit == unitBytes {
				out.traffic = append(out.traffic, l)
			}
		}
	}
	return out, nil
}

// bill is what one call has to pay. Bills are used again.
type bill struct {
	limits   []*limit
	charges  []state.Charge
	balances []state.Balance
	names    []byte // of the buckets, one after another
	ends     []int  // of each of them
	demand   Demand // what the call asks of a model, where a limit counts that
}

func (b *bill) reset() {
	clear(b.limits)
	clear(b.charges)
	b.limits, b.charges, b.names, b.ends = b.limits[:0], b.charges[:0], b.names[:0], b.ends[:0]
	b.demand = Demand{}
}

// add charges a call to a limit if that concerns it.
func (b *bill) add(l *limit, c *rpc.Call, m *Meter) {
	if !l.concerns(c) || l.metered && !m.measure(c, &b.demand) {
		return
	}
	names, ok := l.appendBucket(b.names, c)
	if !ok {
		return
	}
	b.names = names
	b.limits, b.ends = append(b.limits, l), append(b.ends, len(names))
	b.charges = append(b.charges, state.Charge{Cost: l.initial(c, b, m), Limit: &l.counted})
}

// name gives each charge the name of its bucket. They are pieces of one text, since each text costs an allocation.
func (b *bill) name() {
	all, from := string(b.names), 0
	for i, end := range b.ends {
		b.charges[i].Bucket, from = all[from:end], end
	}
}

// initial is what a call costs for certain, before it runs; of what it takes of a model, what it may cost.
func (l *limit) initial(c *rpc.Call, b *bill, m *Meter) int64 {
	switch {
	case l.metered:
		return l.of(m.reserve(c, b.demand))
	case l.Unit == unitBytes:
		return int64(c.Message.Size())
	}
	return l.cost
}

// lasts reports whether the limit has more to do with a call once that runs.
func (l *limit) lasts() bool { return l.metered || l.Unit == unitBytes || l.Unit == unitInFlight }

// billFor collects what a call pays to limits.
func (l *Limits) billFor(c *rpc.Call, limits []*limit) *bill {
	b := l.charges.Get().(*bill)
	for _, each := range limits {
		b.add(each, c, &l.meter)
	}
	b.name()
	return b
}

func (l *Limits) put(b *bill) {
	b.reset()
	l.charges.Put(b)
}

// newHold returns the name of a hold, which need not be secret.
func newHold() (id state.HoldID) {
	binary.LittleEndian.PutUint64(id[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(id[8:], rand.Uint64())
	return id
}

// Rate makes every request pay to the rates that concern it.
func (l *Limits) Rate(next rpc.Handler) rpc.Handler {
	if len(l.rates)+len(l.watched.rates) == 0 {
		return next
	}
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if !c.Message.IsRequest() {
			return next.Handle(ctx, c)
		}
		for _, each := range l.watched.rates {
			l.put(l.watch(ctx, c, each, state.HoldID{}, 0))
		}
		b := l.billFor(c, l.rates)
		defer l.put(b)
		if len(b.charges) == 0 {
			return next.Handle(ctx, c)
		}
		var err error
		b.balances, err = l.quota.Reserve(ctx, state.HoldID{}, b.charges, 0, b.balances[:0])
		if err != nil {
			return nil, l.refusal(c, b, err)
		}
		fields := b.fields()
		reply, err := next.Handle(ctx, c)
		if err == nil {
			fields.addTo(reply)
		}
		return reply, err
	})
}
