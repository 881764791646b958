package model

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// pick chooses the backend for a call: the one that has the beginning of the prompt, if its load allows it; else the one of two at random
// where the call will be done sooner.
func (p *Pool) pick(ctx context.Context, _ *rpc.Call, able []*upstream.Backend) *upstream.Backend {
	l, now := loadOf(ctx), p.now()
	list := make([]*replica, 0, len(able))
	for _, m := range *p.members.Load() {
		if m.state(now) == loaded && m.room() && slices.Contains(able, m.Backend) {
			list = append(list, m)
		}
	}
	switch {
	case len(list) == 0:
		return able[0] // it says that it cannot
	case len(list) == 1:
		return list[0].Backend
	}
	if l.chain != nil {
		if m := p.home(l, list, now); m != nil {
			return m.Backend
		}
	}
	if p.cfg.Balance == "weighted" {
		return p.byWeight(list).Backend
	}
	return p.byWait(l, list, now).Backend
}

// byWait takes the one of two at random where a call will be done sooner.
func (p *Pool) byWait(l *load, list []*replica, now time.Duration) *replica {
	r, n := p.deps.Random(), uint64(len(list))
	i := (r >> 32) * n >> 32
	j := (r & math.MaxUint32) * (n - 1) >> 32
	if j >= i {
		j++
	}
	if sooner(list[j], list[i], l, now) {
		return list[j]
	}
	return list[i]
}

// sooner reports whether a call will be done sooner at a than at b: its tokens and those of the calls that are there, at the speed that was
// measured. Where nothing was measured at one of them, it is the one with fewer calls.
func sooner(a, b *replica, l *load, now time.Duration) bool {
	x, y := a.Share(), b.Share()
	fast, known := a.pace.known(now)
	other, both := b.pace.known(now)
	if known && both {
		return float64(a.tokens.Load()+l.tokens())/(fast*x) < float64(b.tokens.Load()+l.tokens())/(other*y)
	}
	return float64(a.flying.Load()+1)/x < float64(b.flying.Load()+1)/y
}

// byWeight takes one with the probability of its share.
func (p *Pool) byWeight(list []*replica) *replica {
	total := 0.0
	for _, m := range list {
		total += m.Share()
	}
	at := float64(p.deps.Random()>>11) / (1 << 53) * total
	for _, m := range list {
		if at -= m.Share(); at < 0 {
			return m
		}
	}
	return list[len(list)-1]
}
