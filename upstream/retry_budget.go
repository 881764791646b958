package upstream

import (
	"sync/atomic"

	"github.com/headgate/headgate/config"
)

// A retry costs this much of a budget; a call earns as much of it as the share says, in percent.
const retryCost = 100

// retryReserve is how many retries can be saved up, and how many there are to begin with. It lets an upstream with few
// calls have any, and bounds how many follow each other after many calls went well.
const retryReserve = 10

// budget bounds the calls that are made again by those that are made, so that an upstream in trouble does not get several
// times its load. It may be used concurrently.
type budget struct {
	share int64
	saved atomic.Int64
}

func newBudget(share config.Percent) *budget {
	b := &budget{share: int64(share)}
	if share > 0 {
		b.saved.Store(retryReserve * retryCost)
	}
	return b
}

// earn notes a call that is made for the first time.
func (b *budget) earn() {
	if b.share == 0 {
		return
	}
	for {
		saved := b.saved.Load()
		more := min(saved+b.share, retryReserve*retryCost)
		if more == saved || b.saved.CompareAndSwap(saved, more) {
			return
		}
	}
}

// spend pays for a retry, and reports whether there was enough.
func (b *budget) spend() bool {
	for {
		saved := b.saved.Load()
		if saved < retryCost {
			return false
		}
		if b.saved.CompareAndSwap(saved, saved-retryCost) {
			return true
		}
	}
}
