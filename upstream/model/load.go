package model

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
)

// load is what a call asks of a backend, as far as can be told before it runs.
type load struct {
	name   string // of the model
	bytes  int    // of the prompt
	input  int64  // tokens
	output int64  // tokens
	open   bool   // the client set no limit on the answer
	stream bool
	chain  []uint64  // hashes of the beginnings of a long prompt, shortest first; nil for a short one
	began  time.Time // when it was first sent to a backend; its attempts come one after another
}

func (l *load) tokens() int64 { return l.input + l.output }

type loadKey struct{}

// loadOf returns what was found out of a call when it came.
func loadOf(ctx context.Context) *load {
	l, _ := ctx.Value(loadKey{}).(*load) // Pool.Handle sees to it
	return l
}

// weigh estimates a call.
func (p *Pool) weigh(c *rpc.Call) *load {
	l := &load{name: c.Target.Own, open: true}
	o, err := rpc.ReadObject(c.Message.AppendParams(nil))
	if err != nil { // which the router has refused, or the backend will
		l.input, l.output = 1, p.answers.value()
		return l
	}
	prompt, ok := o.Get("prompt")
	if !ok {
		prompt, _ = o.Get("messages")
	}
	stream, _ := o.Get("stream")
	l.stream = string(stream) == "true"
	l.bytes = len(prompt)
	l.input = p.prompts.Tokens(l.name, l.bytes)
	for _, name := range [...]string{"max_tokens", "max_completion_tokens"} {
		if text, said := o.Get(name); said {
			if n, err := strconv.ParseInt(string(text), 10, 32); err == nil && n > 0 {
				l.output, l.open = max(l.output, n), false
			}
		}
	}
	if l.open {
		l.output = p.answers.value()
	}
	if at := int(p.cfg.PrefixAffinity); at > 0 && l.bytes >= max(at, minPrefix) {
		l.chain = chainOf(l.name, prompt)
	}
	return l
}

// meter is the pool as its admission asks it.
type meter struct{ p *Pool }

// Limit implements [upstream.Meter]: as many calls as usable backends take, and those that others still have.
func (m meter) Limit() int64 {
	most := int64(m.p.cfg.MaxInFlight)
	sum, usable, all := int64(0), false, int64(0)
	for _, b := range *m.p.members.Load() {
		slots := b.slots.Load()
		if slots == 0 {
			return max(1, most)
		}
		all += slots
		if b.Usable() {
			usable = true
			sum += max(slots-b.earlier(), b.flying.Load())
		} else {
			sum += b.flying.Load()
		}
	}
	for _, b := range *m.p.leavers.Load() {
		sum += b.flying.Load()
	}
	if !usable { // nobody is to wait for what does not come: they are told so
		sum = all
	}
	if most > 0 {
		sum = min(sum, most)
	}
	return max(1, sum)
}

// Cost implements [upstream.Meter].
func (m meter) Cost(ctx context.Context, _ *rpc.Call) int64 { return max(1, loadOf(ctx).tokens()) }

// Spent implements [upstream.Meter].
func (m meter) Spent(c *rpc.Call) int64 {
	u := c.Record.Usage()
	return u.Input + u.Output
}

// mean is that of the last numbers, the newer the more. The zero value is ready.
type mean struct {
	mu sync.Mutex
	of float64
}

// usualAnswer is what an answer is taken to be before any was seen, in tokens.
const usualAnswer = 256

func (m *mean) value() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == 0 {
		return usualAnswer
	}
	return max(1, int64(m.of))
}

func (m *mean) add(n int64) {
	const memory = 16
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == 0 {
		m.of = float64(n)
	}
	m.of += (float64(n) - m.of) / memory
}
