package policy

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

const (
	// lookAgain is how old a reading of the memory may be.
	lookAgain = 100 * time.Millisecond
	// overloadPause is when who was refused for want of memory may try again.
	overloadPause = 2 * time.Second
)

// bandBatch is the band of priority that is refused first.
const bandBatch = "batch"

// Overload refuses calls while memory is short: those of band batch first, then all. It reads how much is in use as
// calls come, at most ten times a second, and stops nobody for it.
type Overload struct {
	limit int64 // of memory, in bytes
	batch int64 // the percentage from which calls of band batch are refused
	all   int64 // and all
	rank  func(*rpc.Principal) config.Priority
	used  func() int64

	looked atomic.Int64 // when, as nanoseconds since began
	began  time.Time
	share  atomic.Int64 // in use, in percent
	shed   [2]atomic.Uint64
}

// NewOverload returns the watch over memory. It is nil, which refuses nothing, where no limit is known.
func NewOverload(cfg config.Overload, rank func(*rpc.Principal) config.Priority) *Overload {
	limit := int64(cfg.Memory)
	if limit == 0 {
		limit = memoryLimit()
	}
	if limit == 0 {
		return nil
	}
	return &Overload{limit: limit, batch: threshold(cfg.ShedAt), all: threshold(cfg.RefuseAt), rank: rank, used: memoryInUse, began: time.Now()}
}

// threshold returns the percentage from which calls are refused. More than everything can be in use, so that 100% has to
// be told from never.
func threshold(p config.Percent) int64 {
	if p >= 100 {
		return math.MaxInt64
	}
	return int64(p)
}

// OverloadStatus is what a watch over memory has seen.
type OverloadStatus struct {
	Limit   int64  // of memory, in bytes; 0 where none is known, and nothing else holds then
	Percent int    // in use when it was last read
	Batch   uint64 // calls of band batch that were refused before all were
	Refused uint64 // calls that were refused as all were
}

// Status returns what the watch has seen.
func (o *Overload) Status() OverloadStatus {
	if o == nil {
		return OverloadStatus{}
	}
	return OverloadStatus{Limit: o.limit, Percent: int(o.share.Load()), Batch: o.shed[0].Load(), Refused: o.shed[1].Load()}
}

// Shed is the middleware. What is no request passes, since it ends things more often than it begins them.
func (o *Overload) Shed(next rpc.Handler) rpc.Handler {
	if o == nil {
		return next
	}
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if share := o.read(c.Received); share >= min(o.batch, o.all) && c.Message.IsRequest() {
			if err := o.judge(c, share); err != nil {
				return nil, err
			}
		}
		return next.Handle(ctx, c)
	})
}

// read returns the share of memory in use, which may have been read a little earlier.
func (o *Overload) read(now time.Time) int64 {
	since := int64(now.Sub(o.began))
	last := o.looked.Load()
	if (last == 0 || since-last >= int64(lookAgain)) && o.looked.CompareAndSwap(last, max(1, since)) {
		o.share.Store(o.used() * 100 / o.limit)
	}
	return o.share.Load()
}

// judge refuses a call if it is its turn to be.
func (o *Overload) judge(c *rpc.Call, share int64) error {
	which := 1
	switch {
	case share >= o.all:
	case o.rank(&c.Principal).Band == bandBatch:
		which = 0
	default:
		return nil
	}
	o.shed[which].Add(1)
	c.Record.Note(rpc.Shed, "memory", 0)
	return &rpc.Error{
		Code: rpc.Overloaded, NotRun: true, RetryAfter: overloadPause, Message: "the gateway is short of memory",
		Data: map[string]any{"shed": "memory"},
	}
}
