package model

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// replica is one of a pool's backends. It is the handler of its [upstream.Backend].
type replica struct {
	*upstream.Backend
	pool   *Pool
	cfg    config.ModelBackend
	server Backend

	slots  atomic.Int64    // calls that it takes at a time; 0 for any number
	flying atomic.Int64    // calls that it has
	before *replica        // the same server as it was when it left, and may still have calls; nil if it has not been here
	tokens atomic.Int64    // of them, estimated
	life   context.Context //nolint:containedctx // of warm-ups, ended by stop
	stop   context.CancelCauseFunc
	pace   pace
	warmth warmth
}

func newReplica(p *Pool, cfg config.ModelBackend, server Backend) *replica {
	m := &replica{pool: p, cfg: cfg, server: server}
	m.slots.Store(int64(cfg.MaxInFlight))
	m.life, m.stop = context.WithCancelCause(p.life)
	return m
}

// room reports whether a slot is free.
func (m *replica) room() bool {
	slots := m.slots.Load()
	return slots == 0 || m.flying.Load()+m.earlier() < slots
}

// earlier returns how many calls the server still has from before it left and came back.
func (m *replica) earlier() (n int64) {
	for m = m.before; m != nil; m = m.before {
		n += m.flying.Load()
	}
	return n
}

// enter takes a slot, if one is free.
func (m *replica) enter() bool {
	for {
		n, slots := m.flying.Load(), m.slots.Load()
		if slots > 0 && n+m.earlier() >= slots {
			return false
		}
		if m.flying.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave gives a slot back.
func (m *replica) leave(tokens int64) {
	m.tokens.Add(-tokens)
	m.flying.Add(-1)
	m.pool.moved.send()
}

// Handle implements [rpc.Handler]: it makes one attempt.
func (m *replica) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	l := loadOf(ctx)
	if m.state(m.pool.now()) != loaded {
		return nil, m.pool.notNow("is being loaded by its backends", time.Second)
	}
	if !m.enter() {
		return nil, m.pool.notNow("has no backend with a slot free", time.Second)
	}
	m.tokens.Add(l.tokens())
	m.pool.homes.note(l.chain, m)
	a := newAttempt(ctx, m, c, l)
	served := false
	defer func() {
		if !served { // also where it panics
			a.leave()
			a.cancel(nil)
		}
	}()
	reply, err := m.server.Handle(a.ctx, c)
	if err != nil {
		return nil, a.fails(err)
	}
	served = true
	a.reply = reply
	out := rpc.NewReply(a)
	out.Header, out.Revision = reply.Header, reply.Revision
	return out, nil
}
