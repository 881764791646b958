package statetest

import (
	"slices"
	"time"

	"github.com/headgate/headgate/state"
)

// model says in the plainest way what quotas mean. It keeps all that ever happened,
// and computes each answer from that.
type model struct {
	now     int64 // nanoseconds since 1970
	buckets map[string]*modelBucket
	holds   map[state.HoldID]*modelHold
}

// modelBucket is everything that was charged to a bucket.
type modelBucket struct {
	limit  *state.Limit
	spent  []modelSpend // windows
	empty  int64        // rate: when it is empty, if that is to come
	holder []*modelPart // slots
}

type modelSpend struct{ window, amount int64 }

type modelHold struct {
	until int64
	parts []*modelPart
}

type modelPart struct {
	bucket         string
	hold           *modelHold
	amount, recent int64
	window         int64
}

func newModel(now time.Time) *model {
	return &model{now: now.UnixNano(), buckets: map[string]*modelBucket{}, holds: map[state.HoldID]*modelHold{}}
}

func (m *model) bucket(c state.Charge) *modelBucket {
	b := m.buckets[c.Bucket]
	if b == nil {
		b = &modelBucket{}
		m.buckets[c.Bucket] = b
	}
	b.limit = c.Limit
	return b
}

// window is the one that now is in, by its beginning; of a rolling limit, the step.
func (m *model) window(l *state.Limit) int64 {
	switch l.Kind {
	case state.Calendar:
		start, _ := l.Window(time.Unix(0, m.now))
		return start.UnixNano()
	case state.Rolling:
		return m.now - m.now%int64(l.Step())
	default:
		return 0
	}
}

// unit is how long it takes a rate to let go of one.
func unit(l *state.Limit) int64 { return int64(l.Per) / l.Refill }

// counts reports whether what was charged in a window still does.
func (m *model) counts(l *state.Limit, window int64) bool {
	if l.Kind == state.Calendar {
		return window == m.window(l)
	}
	return m.now < window+61*int64(l.Step())
}

func (m *model) used(b *modelBucket) int64 {
	total := int64(0)
	switch b.limit.Kind {
	case state.Rate:
		u := unit(b.limit)
		return max(0, (b.empty-m.now+u-1)/u)
	case state.InFlight:
		for _, p := range b.holder {
			if p.hold.until > m.now {
				total += p.amount
			}
		}
	default:
		for _, s := range b.spent {
			if m.counts(b.limit, s.window) {
				total += s.amount
			}
		}
	}
	return total
}

func (m *model) balance(b *modelBucket) state.Balance {
	used := m.used(b)
	out := state.Balance{Limit: b.limit.Max, Remaining: max(0, b.limit.Max-used)}
	switch b.limit.Kind {
	case state.Rate:
		out.Reset = time.Duration(max(0, b.empty-m.now))
	case state.Calendar:
		_, end := b.limit.Window(time.Unix(0, m.now))
		out.Reset = time.Duration(end.UnixNano() - m.now)
	case state.Rolling:
		out.Reset = m.until(b, func(*model) bool { return m.used(b) == 0 })
	case state.InFlight:
	}
	return out
}

// until tries when something becomes true, at each moment that something may leave.
func (m *model) until(b *modelBucket, true func(*model) bool) time.Duration {
	now := m.now
	defer func() { m.now = now }()
	step := int64(b.limit.Step())
	if true(m) {
		return 0
	}
	for m.now = now - now%step + step; ; m.now += step {
		if true(m) {
			return time.Duration(m.now - now)
		}
	}
}

func (m *model) wait(b *modelBucket, cost int64) time.Duration {
	switch {
	case cost > b.limit.Max:
		return state.Never
	case b.limit.Kind == state.Rate:
		return time.Duration(b.empty - (b.limit.Max-cost)*unit(b.limit) - m.now)
	case b.limit.Kind == state.Rolling:
		return m.until(b, func(m *model) bool { return m.used(b)+cost <= b.limit.Max })
	case b.limit.Kind == state.Calendar:
		return m.balance(b).Reset
	default:
		return 0
	}
}

func (m *model) refusal(charges []state.Charge) *state.Refusal {
	var worst *state.Refusal
	for i, c := range charges {
		b := m.bucket(c)
		if m.used(b)+c.Cost <= c.Limit.Max {
			continue
		}
		if wait := m.wait(b, c.Cost); worst == nil || wait > worst.RetryAfter {
			worst = &state.Refusal{Charge: i, Bucket: c.Bucket, Cost: c.Cost, Balance: m.balance(b), RetryAfter: wait}
		}
	}
	return worst
}

func (m *model) balances(charges []state.Charge) []state.Balance {
	out := []state.Balance{}
	for _, c := range charges {
		out = append(out, m.balance(m.bucket(c)))
	}
	return out
}

func (m *model) reserve(id state.HoldID, charges []state.Charge, ttl time.Duration) *state.Refusal {
	if r := m.refusal(charges); r != nil {
		return r
	}
	h := &modelHold{until: m.now + int64(ttl)}
	for _, c := range charges {
		p := &modelPart{bucket: c.Bucket, hold: h}
		b := m.bucket(c)
		b.holder = append(b.holder, p)
		h.parts = append(h.parts, p)
		m.take(p, c.Cost)
	}
	if ttl > 0 {
		m.holds[id] = h
	}
	return nil
}

func (m *model) take(p *modelPart, amount int64) {
	b := m.buckets[p.bucket]
	w := m.window(b.limit)
	b.spent = append(b.spent, modelSpend{w, amount})
	if b.limit.Kind == state.Rate {
		b.empty = max(b.empty, m.now) + amount*unit(b.limit)
	}
	if p.window != w {
		p.window, p.recent = w, 0
	}
	p.amount, p.recent = p.amount+amount, p.recent+amount
}

func (m *model) open(id state.HoldID) *modelHold {
	if h := m.holds[id]; h != nil && m.now < h.until {
		return h
	}
	return nil
}

func (m *model) extend(h *modelHold, more []int64, ttl time.Duration) *state.Refusal {
	charges := m.charges(h)
	for i := range charges {
		charges[i].Cost = 0
		if i < len(more) {
			charges[i].Cost = more[i]
		}
	}
	if r := m.refusal(charges[:len(more)]); r != nil {
		return r
	}
	for i, amount := range more {
		m.take(h.parts[i], amount)
	}
	h.until = max(h.until, m.now+int64(ttl))
	return nil
}

// charges are those of a hold, with what it holds.
func (m *model) charges(h *modelHold) []state.Charge {
	var out []state.Charge
	for _, p := range h.parts {
		out = append(out, state.Charge{Bucket: p.bucket, Cost: p.amount, Limit: m.buckets[p.bucket].limit})
	}
	return out
}

func (m *model) settle(id state.HoldID, actual []int64) bool {
	h := m.holds[id]
	delete(m.holds, id)
	if h == nil || m.now >= h.until+int64(state.LateSettle) {
		return false
	}
	for i, p := range h.parts {
		b := m.buckets[p.bucket]
		if b.limit.Kind == state.InFlight {
			b.holder = slices.DeleteFunc(b.holder, func(other *modelPart) bool { return other == p })
		} else if i < len(actual) {
			m.correct(b, p, actual[i]-p.amount)
		}
	}
	return true
}

func (m *model) correct(b *modelBucket, p *modelPart, missing int64) {
	if missing >= 0 {
		m.take(p, missing)
		return
	}
	if b.limit.Kind == state.Rate {
		b.empty = max(m.now, b.empty+missing*unit(b.limit))
		return
	}
	b.spent = append(b.spent, modelSpend{p.window, max(missing, -p.recent)})
}

func (m *model) lease(id state.HoldID, c state.Charge, ttl time.Duration) (int64, *state.Refusal) {
	c.Cost = max(1, min(c.Cost, c.Limit.Max-m.used(m.bucket(c))))
	if r := m.reserve(id, []state.Charge{c}, ttl); r != nil {
		return 0, r
	}
	return c.Cost, nil
}

// restart leaves what is durable.
func (m *model) restart() {
	clear(m.holds)
	for key, b := range m.buckets {
		if !b.limit.Durable {
			delete(m.buckets, key)
		}
	}
}
