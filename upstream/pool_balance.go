package upstream

import (
	"context"
	"math"
	"slices"

	"github.com/headgate/headgate/rpc"
)

// Balance is how one of several backends is chosen.
type Balance uint8

// The ways to choose.
const (
	LeastLoaded    Balance = iota // the less busy one of two at random
	Weighted                      // by their weights, whatever the load: canaries
	ConsistentHash                // who calls stays at one backend, as long as that is not much busier than the others
)

// overload is how much busier than the mean a backend may be before consistent hashing goes on to the next one: the c of
// consistent hashing with bounded loads.
const overload = 1.25

// usual is the number of backends up to which choosing allocates nothing.
const usual = 16

// choose returns the backend for a call, nil if none is left. The one that the call belongs to comes first, if it is well; then those
// that are well; and then those that were ejected or found unwell, since nothing better is there.
func (p *Pool) choose(ctx context.Context, c *rpc.Call, tried *Tried) *Backend {
	all := *p.backends.Load()
	if len(all) == 1 {
		if b := all[0]; !tried.has(b) && b.open(p.now) {
			return b
		}
		return nil
	}
	if p.cfg.Prefer != nil {
		if b := p.cfg.Prefer(c); b != nil && !tried.has(b) && b.open(p.now) && !b.draining.Load() && !b.unwell(p.now) {
			return b
		}
	}
	var room [usual]*Backend
	for _, desperate := range [...]bool{false, true} {
		list := room[:0]
		for _, b := range all {
			if !tried.has(b) && b.open(p.now) && (desperate || !b.unwell(p.now)) {
				list = append(list, b)
			}
		}
		switch {
		case len(list) == 1:
			return list[0]
		case len(list) > 1:
			return p.pick(ctx, c, list)
		}
	}
	return nil
}

func (p *Pool) pick(ctx context.Context, c *rpc.Call, list []*Backend) *Backend {
	if p.cfg.Pick != nil {
		return p.cfg.Pick(ctx, c, slices.Clone(list)) // a copy, so that others choose on the stack
	}
	switch p.cfg.Balance {
	case Weighted:
		return p.byWeight(list)
	case ConsistentHash:
		return p.byHash(hashOf(c), list)
	}
	return p.byLoad(list)
}

// byLoad takes the less busy one of two at random, in proportion to what they can bear.
func (p *Pool) byLoad(list []*Backend) *Backend {
	r, n := p.cfg.Random(), uint64(len(list))
	i := (r >> 32) * n >> 32
	j := (r & math.MaxUint32) * (n - 1) >> 32
	if j >= i {
		j++
	}
	a, b := list[i], list[j]
	if float64(b.inFlight.Load()+1)/b.share(p.now) < float64(a.inFlight.Load()+1)/a.share(p.now) {
		return b
	}
	return a
}

// byWeight takes one with the probability of its share.
func (p *Pool) byWeight(list []*Backend) *Backend {
	total := 0.0
	for _, b := range list {
		total += b.share(p.now)
	}
	at := float64(p.cfg.Random()>>11) / (1 << 53) * total
	for _, b := range list {
		if at -= b.share(p.now); at < 0 {
			return b
		}
	}
	return list[len(list)-1]
}

// byHash takes the one with the highest score for a key (rendezvous hashing, weighted), of those that are not busier than their part of
// the load allows. Which backends come and go moves nobody else's keys.
func (p *Pool) byHash(key uint64, list []*Backend) *Backend {
	total, load := 0.0, int64(1)
	for _, b := range list {
		total += b.share(p.now)
		load += b.inFlight.Load()
	}
	best, most := list[0], math.Inf(-1)
	for _, b := range list {
		share := b.share(p.now)
		if float64(b.inFlight.Load()+1) > math.Ceil(overload*float64(load)*share/total) {
			continue
		}
		u := (float64(Mix(key^b.seed)>>11) + 0.5) / (1 << 53)
		if score := -float64(b.weight.Load()) / math.Log(u); score > most {
			best, most = b, score
		}
	}
	return best
}

// hashOf is the key of who calls: the session where there is one, else the principal, else the address.
func hashOf(c *rpc.Call) uint64 {
	var space [128]byte
	id := space[:0]
	switch {
	case c.Client.Session != "":
		id = append(id, c.Client.Session...)
	case c.Principal.Org != "" || c.Principal.Team != "" || c.Principal.Key != "" || c.Principal.User != "":
		id = c.Principal.AppendIdentity(id)
	default:
		id = c.Remote.Addr().AppendTo(id)
	}
	return hash(id)
}
