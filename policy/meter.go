package policy

import (
	"math"
	"math/bits"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Meter is what limits have to know of models: they cannot read calls of a dialect themselves. The zero Meter knows none.
type Meter struct {
	// Demand returns what a call asks of a model, and false if it asks nothing of one.
	Demand func(*rpc.Call) (Demand, bool)
	// Price returns what the tokens of a model cost, by its name in the configuration.
	Price func(model string) Price
	// Stream returns a call whose answer is the same in chunks.
	Stream func(*rpc.Call) *rpc.Call
	// Collect makes the chunks of such a call's reply one answer again.
	Collect func(*rpc.Call, *rpc.Reply) *rpc.Reply
	// Learn is told how many tokens the prompt of a call had, which was of so many bytes. It may be nil.
	Learn func(model string, bytes int, tokens int64)
}

// Demand is what a call asks of a model.
type Demand struct {
	Bytes    int   // of the prompt
	Input    int64 // tokens of the prompt, about; at least 1
	Output   int64 // tokens of the answer at most; 0 if the call does not say
	Streamed bool  // the answer comes in chunks
}

// Price is what tokens cost, in millionths of a dollar for a million of them.
type Price struct {
	Input, Output int64
	Cached        int64 // of the prompt, that the model had worked on before
}

const (
	// outputStep is how many tokens of output are reserved at a time where a call does not say how many there will be.
	outputStep = 256
	// outputAhead is how many of them are always left, beside what a model makes in the time until it knows that it shall
	// stop, which is taken to be a step at most: for what has come and was not read, and where nobody knows how fast it is.
	outputAhead = 64
	stopTime    = 100 * time.Millisecond
)

// measure sees to it that d is what a call asks of a model, and reports false if it asks nothing of one.
func (m *Meter) measure(c *rpc.Call, d *Demand) (ok bool) {
	if d.Input > 0 {
		return true // it was measured for another limit
	}
	if m.Demand == nil {
		return false
	}
	*d, ok = m.Demand(c)
	return ok
}

// reserve is what is taken for a call before it runs: for its prompt and all that it asks for, or the first step. Where
// several models may serve it, it is what the dearest costs.
func (m *Meter) reserve(c *rpc.Call, d Demand) spent {
	u := rpc.Usage{Input: d.Input, Output: d.Output}
	if u.Output == 0 {
		u.Output = outputStep
	}
	out := m.cost(c.Target.Upstream, u)
	if c.Route != nil {
		for _, other := range c.Route.Fallback {
			out.usd = max(out.usd, m.cost(other, u).usd)
		}
	}
	return out
}

// spent is what was taken of a model.
type spent struct {
	tokens int64
	usd    int64 // millionths
}

func (s spent) plus(t spent) spent {
	return spent{saturated(s.tokens, t.tokens), saturated(s.usd, t.usd)}
}

// of returns the part of it that a limit counts.
func (l *limit) of(s spent) int64 {
	if l.Unit == unitUSD {
		return s.usd
	}
	return s.tokens
}

// cost is what a use of a model is in tokens and money, which is rounded up: what is used is never free if it has a
// price.
func (m *Meter) cost(model string, u rpc.Usage) spent {
	u.Input, u.Output = max(u.Input, 0), max(u.Output, 0)
	out := spent{tokens: saturated(u.Input, u.Output)}
	if m.Price == nil {
		return out
	}
	p, cached := m.Price(model), min(max(u.Cached, 0), u.Input)
	hi, lo := uint64(0), uint64(0)
	for _, each := range [...][2]int64{{u.Input - cached, p.Input}, {cached, p.Cached}, {u.Output, p.Output}} {
		h, l := bits.Mul64(uint64(each[0]), uint64(each[1]))
		var carry uint64
		lo, carry = bits.Add64(lo, l, 0)
		hi += h + carry
	}
	const million = 1_000_000
	if hi >= million {
		out.usd = math.MaxInt64
		return out
	}
	whole, rest := bits.Div64(hi, lo, million)
	if rest > 0 {
		whole++
	}
	out.usd = int64(min(whole, math.MaxInt64))
	return out
}

// saturated is a sum of what is not negative, or as much as there can be.
func saturated(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// used is what the attempts of a call have taken so far, each at the price of who was asked, and what the last of them has.
func (m *Meter) used(r *rpc.Record, model string) (s spent, last rpc.Attempt) {
	for t := r.First(); t != nil; t = t.Next() {
		last = t.Attempt()
		if last.Upstream == "" {
			last.Upstream = model
		}
		s = s.plus(m.cost(last.Upstream, last.Usage))
	}
	return s, last
}
