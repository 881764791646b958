package embedded

import (
	"time"

	"github.com/headgate/headgate/state"
)

// steps of a rolling window: those that are wholly in it, and the one that has begun.
const steps = 61

// bucket is what was charged and has not left yet. Its shard's lock guards it. Times
// are nanoseconds since 1970.
type bucket struct {
	key   string
	limit *state.Limit // as it was last charged
	next  *bucket      // of the same key, with another window
	shard uint8
	holds int   // that are open or can still be settled
	used  int64 // what is in it

	// start is when the window began, and end when it ends. Of a rolling window, the step. Of a rate,
	// start is when used was right.
	start, end int64

	rolling *[steps]int64 // what was charged in each step, a ring
	step    int           // the one that has begun

	slots  heap[*held] // those that have slots
	budget budget      // if the limit is durable
}

// held is what a hold has taken from one bucket.
type held struct {
	bucket *bucket
	amount int64 // in all
	recent int64 // of it, what was taken in the window that began at since
	since  int64
	until  int64 // slots: when they are released
	index  int
}

func (h *held) due() int64  { return h.until }
func (h *held) place() *int { return &h.index }

// advance lets go of what has left by now.
func (b *bucket) advance(now int64) {
	switch b.limit.Kind {
	case state.Rate:
		b.leak(now)
	case state.Calendar:
		if now >= b.end {
			start, end := b.limit.Window(time.Unix(0, now))
			b.start, b.end, b.used = start.UnixNano(), end.UnixNano(), 0
			b.budget.begin()
		}
	case state.Rolling:
		if now >= b.end {
			if b.rolling != nil {
				b.budget.behind += max(b.budget.asked-b.recent(), 0)
			}
			b.roll(now)
			b.budget.begin()
		}
	case state.InFlight:
		for h, ok := b.slots.first(); ok && h.until <= now; h, ok = b.slots.first() {
			b.release(h)
		}
	}
}

// leak never takes out more than has leaked: parts of a unit stay until they are one.
func (b *bucket) leak(now int64) {
	gone := portion(now-b.start, b.limit.Refill, int64(b.limit.Per))
	if gone >= b.used {
		b.used, b.start = 0, now
		return
	}
	b.used -= gone
	b.start += portionUp(gone, int64(b.limit.Per), b.limit.Refill)
}

// roll moves to the step of now.
func (b *bucket) roll(now int64) {
	length := int64(b.limit.Step())
	if b.rolling == nil {
		b.rolling = new([steps]int64)
	}
	if now-b.end >= steps*length {
		*b.rolling, b.used = [steps]int64{}, 0
		b.start = now - now%length
		b.end = b.start + length
		return
	}
	for ; now >= b.end; b.end += length {
		b.step = (b.step + 1) % steps
		b.used -= b.rolling[b.step]
		b.rolling[b.step] = 0
		b.start = b.end
	}
}

// fits reports whether there is room.
func (b *bucket) fits(cost int64) bool { return cost <= b.limit.Max && b.used <= b.limit.Max-cost }

// take charges what a hold has then taken.
func (b *bucket) take(h *held, amount int64) {
	b.used = sum(b.used, amount)
	if b.rolling != nil {
		b.rolling[b.step] = sum(b.rolling[b.step], amount)
	}
	if h.since != b.start {
		h.since, h.recent = b.start, 0
	}
	h.recent, h.amount = sum(h.recent, amount), sum(h.amount, amount)
}

// giveBack takes a part of what a hold has taken out again, as far as it is still there.
func (b *bucket) giveBack(h *held, amount int64) {
	h.amount -= amount
	switch b.limit.Kind {
	case state.Rate:
		b.used -= min(amount, b.used)
	case state.Calendar:
		if h.since == b.start {
			amount = min(amount, h.recent)
			b.used -= amount
			h.recent -= amount
		}
	case state.Rolling:
		age := (b.start - h.since) / int64(b.limit.Step())
		if age >= steps {
			return
		}
		at := &b.rolling[(b.step+steps-int(age))%steps]
		amount = min(amount, h.recent, *at)
		*at -= amount
		b.used -= amount
		h.recent -= amount
		if age > 0 {
			b.budget.behind += amount
		}
	case state.InFlight:
		if h.index > 0 {
			b.used -= amount
		}
	}
}

// release gives slots back, if they are not yet.
func (b *bucket) release(h *held) {
	if h.index > 0 {
		b.slots.remove(h)
		b.used -= h.amount
	}
}

// balance is how the bucket stands at now, to which it was advanced.
func (b *bucket) balance(now int64) state.Balance {
	return state.Balance{
		Limit:     b.limit.Max,
		Remaining: max(b.limit.Max-b.used, 0),
		Reset:     time.Duration(b.reset(now)),
	}
}

func (b *bucket) reset(now int64) int64 {
	switch b.limit.Kind {
	case state.Rate:
		return portionUp(b.used, int64(b.limit.Per), b.limit.Refill) - (now - b.start)
	case state.Calendar:
		return b.end - now
	case state.Rolling:
		return b.emptyOf(b.used, now)
	default:
		return 0
	}
}

// wait is how long a cost that does not fit now will not.
func (b *bucket) wait(cost, now int64) time.Duration {
	if cost > b.limit.Max {
		return state.Never
	}
	excess := b.used - (b.limit.Max - cost)
	switch b.limit.Kind {
	case state.Rate:
		return time.Duration(portionUp(excess, int64(b.limit.Per), b.limit.Refill) - (now - b.start))
	case state.Calendar:
		return time.Duration(b.end - now)
	case state.Rolling:
		return time.Duration(b.emptyOf(excess, now))
	default:
		return 0
	}
}

// emptyOf is how long it takes until an amount has left a rolling window.
func (b *bucket) emptyOf(amount, now int64) int64 {
	for age := steps - 1; age >= 0 && amount > 0; age-- {
		amount -= b.rolling[(b.step+steps-age)%steps]
		if amount <= 0 {
			return b.end - now + int64(steps-1-age)*int64(b.limit.Step())
		}
	}
	return 0
}
