package policy

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// metered is what a call takes of a model: it is reserved before it is passed on, and put right when the call has
// ended. What was taken is read from the call's record, where the adapters of model servers note it before they pass on what
// they have read, also of attempts that failed.
type metered struct {
	held    *held
	demand  Demand
	record  *rpc.Record
	name    string // of the model
	model   string // who serves it
	attempt spent  // what is reserved for one of its attempts
	collect bool   // the client gets one answer, though it comes in chunks
	given   bool   // up: there is no more of a limit that is only watched

	number int       // of the attempt that answers
	began  time.Time // when it did

	mu       sync.Mutex
	reserved []int64 // by charge
}

func newMetered(h *held) *metered {
	m := &metered{held: h, demand: h.bill.demand, record: h.call.Record, name: h.call.Target.Canonical, model: h.call.Target.Upstream, reserved: make([]int64, len(h.bill.charges))}
	m.attempt = h.limits.meter.reserve(h.call, m.demand)
	for i := range h.bill.charges {
		m.reserved[i] = h.bill.charges[i].Cost
	}
	m.collect = m.demand.Output == 0 && !m.demand.Streamed && h.enforced()
	return m
}

// inChunks returns the call as it is made: where nobody knows how much it will take, in chunks, so that each step can be
// reserved before it is passed on.
func (m *metered) inChunks(c *rpc.Call) *rpc.Call {
	if !m.collect {
		return c
	}
	return m.held.limits.meter.Stream(c)
}

// wrap returns the reply of which nothing passes that is not reserved.
func (m *metered) wrap(r *rpc.Reply) *rpc.Reply {
	out := rpc.NewReply(&meteredReply{r, m})
	out.Header, out.Revision = r.Header, r.Revision
	if m.collect {
		out = m.held.limits.meter.Collect(m.held.call, out)
	}
	return out
}

// meteredReply is a reply whose messages are reserved before they pass.
type meteredReply struct {
	*rpc.Reply
	metered *metered
}

// Next implements [rpc.Source].
func (r *meteredReply) Next() (*rpc.Message, error) {
	m, err := r.Reply.Next()
	if err != nil {
		return nil, err
	}
	if err := r.metered.cover(); err != nil {
		_ = r.Reply.Close() // the model stops at once, and not when the client has been told
		return nil, err
	}
	return m, nil
}

// cover sees to it that what was taken is reserved, and what the model makes until it can be stopped. It takes a
// step more where there is that much left.
func (m *metered) cover() error {
	meter := &m.held.limits.meter
	u, last := meter.used(m.record, m.model)
	if m.demand.Output > 0 && last.Usage.Output <= m.demand.Output { // it was reserved at first, but for what was wrong with the estimate of the prompt
		return m.take(u, u)
	}
	least := u.plus(meter.cost(last.Upstream, rpc.Usage{Output: m.ahead(&last)}))
	if m.lack(least) == nil {
		return nil
	}
	return m.take(least.plus(meter.cost(last.Upstream, rpc.Usage{Output: outputStep})), least)
}

// ahead is how many tokens an attempt makes until it is stopped.
func (m *metered) ahead(a *rpc.Attempt) int64 {
	if a.Number != m.number {
		m.number, m.began = a.Number, time.Now()
	}
	took := max(time.Since(m.began), stopTime)
	return outputAhead + min(int64(float64(a.Usage.Output)*float64(stopTime)/float64(took)), outputStep)
}

// again reserves one more attempt.
func (m *metered) again() error {
	u, _ := m.held.limits.meter.used(m.record, m.model)
	u = u.plus(m.attempt)
	return m.take(u, u)
}

// lack returns what is not reserved of what a call takes, by charge; nil if all of it is.
func (m *metered) lack(u spent) []int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []int64
	for i, each := range m.held.bill.limits {
		if need := each.of(u) - m.reserved[i]; each.metered && need > 0 {
			if out == nil {
				out = make([]int64, len(m.reserved))
			}
			out[i] = need
		}
	}
	return out
}

// take reserves the most that a call may take next, or if there is not that much, the least.
func (m *metered) take(most, least spent) error {
	if m.given {
		return nil
	}
	err := m.extend(most)
	if _, refused := errors.AsType[*state.Refusal](err); refused && least != most {
		err = m.extend(least)
	}
	if err == nil {
		return nil
	}
	if h := m.held; h.enforced() {
		return h.limits.refusal(h.call, h.bill, err)
	}
	m.given = true
	m.held.limits.exceeded(m.held.ctx, m.held.call, m.held.bill)
	return nil
}

func (m *metered) extend(u spent) error {
	if more := m.lack(u); more != nil {
		return m.held.extend(more)
	}
	return nil
}

// add notes what was taken beside what was reserved.
func (m *metered) add(more []int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, n := range more {
		m.reserved[i] = saturated(m.reserved[i], n)
	}
}

// settle returns what the call has cost in truth, by charge.
func (m *metered) settle() []int64 {
	meter := &m.held.limits.meter
	u, last := meter.used(m.record, m.model)
	if last.Number == 1 && last.Usage.Input > 0 && !last.Usage.Estimated && meter.Learn != nil {
		meter.Learn(m.name, m.demand.Bytes, last.Usage.Input)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := slices.Clone(m.reserved)
	for i, each := range m.held.bill.limits {
		if each.metered {
			out[i] = each.of(u)
		}
	}
	return out
}
