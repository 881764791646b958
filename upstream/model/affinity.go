package model

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/upstream"
)

// A backend that has computed the beginning of a prompt before has it in its cache, and need not do so again. Calls whose prompts begin
// alike therefore go to the same backend, as long as that has not more than its part of the load allows: consistent hashing with bounded loads
// (Mirrokni, Thorup and Zadimoghaddam, 2018), on tokens. Prompts are compared by hashes of their first blocks, each of which covers those
// before it. Where a prompt has gone is remembered, so that a conversation stays where it is while it grows; what is not remembered, or
// has more than its part, goes where its hash leads to, which is the same in each process.
const (
	prefixBlock = 512
	minPrefix   = 2 * prefixBlock
	maxPrefix   = 8 * prefixBlock
	// overload is how much more than its part of the load a backend may have.
	overload = 1.25
	// tooSlow is how much longer a call may take there than at the mean of all, with what it finds in the cache.
	tooSlow = 2
	// homesKept is how many beginnings a pool remembers, at least.
	homesKept = 16384
)

// chainOf returns the hashes of the first so many blocks of a prompt, from that of minPrefix bytes on.
func chainOf(model string, prompt []byte) []uint64 {
	h := upstream.HashOn(upstream.HashOffset, []byte(model))
	out := make([]uint64, 0, (maxPrefix-minPrefix)/prefixBlock+1)
	for at := prefixBlock; at <= min(len(prompt), maxPrefix); at += prefixBlock {
		h = upstream.HashOn(h, prompt[at-prefixBlock:at])
		if at >= minPrefix {
			out = append(out, upstream.Mix(h))
		}
	}
	return out
}

// homes remembers which backend has which beginnings. Two maps take turns: what was not used while one was filled is forgotten. The zero
// value is ready.
type homes struct {
	mu       sync.Mutex
	now, old map[uint64]*replica
}

// note remembers where a prompt has gone.
func (h *homes) note(chain []uint64, m *replica) {
	if len(chain) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.now)+len(chain) > homesKept {
		h.now, h.old = nil, h.now
	}
	if h.now == nil {
		h.now = make(map[uint64]*replica)
	}
	for _, key := range chain {
		h.now[key] = m
	}
}

// find returns the backend that has the longest beginning of a prompt, by its place in a list, and how many bytes that is. The place is -1 if none has any.
func (h *homes) find(chain []uint64, list []*replica) (at, bytes int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, key := range slices.Backward(chain) {
		for _, generation := range [...]map[uint64]*replica{h.now, h.old} {
			if at = slices.Index(list, generation[key]); at >= 0 {
				return at, minPrefix + i*prefixBlock
			}
		}
	}
	return -1, 0
}

// home returns the backend for a call with a long prompt, of several; nil if all have more than their part of the load, or are slow. One that has the
// beginning may have as much more as need not be computed again there.
func (p *Pool) home(l *load, list []*replica, now time.Duration) *replica {
	parts, total, load := make([]float64, len(list)), 0.0, l.tokens()
	speed, measured := 0.0, 0.0
	for _, m := range list {
		if v, ok := m.pace.known(now); ok {
			speed += v
			measured++
		}
	}
	for i, m := range list {
		parts[i] = m.Share()
		if v, ok := m.pace.known(now); ok {
			parts[i] *= v * measured / speed
		}
		total += parts[i]
		load += m.tokens.Load()
	}
	fits := func(i int, saved int64) bool {
		if v, ok := list[i].pace.known(now); ok && float64(l.tokens()-saved)/v > tooSlow*float64(l.tokens())*measured/speed {
			return false
		}
		return float64(list[i].tokens.Load()-saved) <= overload*float64(load)*parts[i]/total
	}
	if at, bytes := p.homes.find(l.chain, list); at >= 0 && fits(at, infer.EstimateTokens(bytes)) {
		return list[at]
	}
	var best *replica
	most := math.Inf(-1)
	for i, m := range list {
		if !fits(i, 0) {
			continue
		}
		u := (float64(upstream.Mix(l.chain[len(l.chain)-1]^m.seed())>>11) + 0.5) / (1 << 53)
		if score := -parts[i] / math.Log(u); score > most {
			best, most = m, score
		}
	}
	return best
}

// seed tells backends apart where prompts are hashed to them: the same in each process.
func (m *replica) seed() uint64 {
	return upstream.Mix(upstream.HashOn(upstream.HashOffset, []byte(m.ID())))
}
