package policy

import (
	"context"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// held is what a running call holds of budgets: slots until it ends, and what it pays as
// its answer goes by.
type held struct {
	*rpc.Reply
	limits  *Limits
	ctx     context.Context //nolint:containedctx // of the call, without its end: what is held must be settled
	id      state.HoldID
	call    *rpc.Call // read by Next only: it may lie in the memory of its request
	bill    *bill
	beside  rpc.Stake // of other limits in the same call; nil if there is none
	more    []int64   // what the next message costs, by charge; nil if nothing is paid by the message
	metered *metered  // what it takes of a model; nil where no limit counts that

	mu      sync.Mutex
	renewal *time.Timer
	keepers int // who has not yet released it: the reply, and who goes on with the call after that
}

var _ rpc.Stake = (*held)(nil)

func newHeld(ctx context.Context, l *Limits, c *rpc.Call, b *bill, id state.HoldID) *held {
	h := &held{limits: l, ctx: context.WithoutCancel(ctx), id: id, call: c, bill: b, keepers: 1}
	for _, each := range b.limits {
		if each.Unit == unitBytes {
			h.more = make([]int64, len(b.limits))
			break
		}
	}
	if b.demand.Input > 0 {
		h.metered = newMetered(h)
	}
	h.renewal = time.AfterFunc(holdTime/2, h.renew)
	return h
}

// wrap returns the reply whose end settles what is held.
func (h *held) wrap(r *rpc.Reply) *rpc.Reply {
	h.Reply = r
	if h.metered != nil {
		h.Reply = h.metered.wrap(r)
	}
	out := rpc.NewReply(h)
	out.Header, out.Revision = r.Header, r.Revision
	return out
}

// Next implements [rpc.Source].
func (h *held) Next() (*rpc.Message, error) {
	m, err := h.Reply.Next()
	if err != nil || h.more == nil {
		return m, err
	}
	size := int64(m.Size())
	for i, each := range h.bill.limits {
		if each.Unit == unitBytes {
			h.more[i] = size
		}
	}
	if err = h.extend(h.more); err != nil && !h.enforced() {
		h.limits.exceeded(h.ctx, h.call, h.bill)
		err = nil
	}
	if err != nil {
		return nil, h.limits.refusal(h.call, h.bill, err)
	}
	return m, nil
}

// enforced reports whether what cannot be paid for does not pass.
func (h *held) enforced() bool { return h.bill.limits[0].Mode == "enforce" }

// extend takes more, by charge.
func (h *held) extend(more []int64) error {
	_, err := h.limits.quota.Extend(h.ctx, h.id, more, holdTime, nil)
	if err == nil && h.metered != nil {
		h.metered.add(more)
	}
	return err
}

// Close implements [rpc.Source].
func (h *held) Close() error {
	defer h.drop() // also where it panics
	return h.Reply.Close()
}

// renew keeps a long call's hold.
func (h *held) renew() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.keepers == 0 {
		return
	}
	if _, err := h.limits.quota.Extend(h.ctx, h.id, nil, holdTime, nil); err != nil {
		h.limits.log.WarnContext(h.ctx, "what a call holds of its limits cannot be renewed", "error", err)
	}
	h.renewal.Reset(holdTime / 2)
}

// Retain implements [rpc.Stake].
func (h *held) Retain() {
	if h.beside != nil {
		h.beside.Retain()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keepers++
}

// Release implements [rpc.Stake].
func (h *held) Release() {
	if h.beside != nil {
		h.beside.Release()
	}
	h.drop()
}

// Again implements [rpc.Stake].
func (h *held) Again() error {
	if h.beside != nil {
		if err := h.beside.Again(); err != nil {
			return err
		}
	}
	if h.metered == nil {
		return nil
	}
	return h.metered.again()
}

// drop ends the hold if nobody else keeps it. What it took was paid step by step, but for what is reserved of models: that
// is put right now.
func (h *held) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.keepers--; h.keepers > 0 {
		return
	}
	h.renewal.Stop()
	var actual []int64
	if h.metered != nil {
		actual = h.metered.settle()
	}
	if _, err := h.limits.quota.Settle(h.ctx, h.id, actual); err != nil {
		h.limits.log.WarnContext(h.ctx, "what a call holds of its limits cannot be settled", "error", err)
	}
}
