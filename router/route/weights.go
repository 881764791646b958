package route

import (
	"math"
	"math/rand/v2"

	"github.com/headgate/headgate/rpc"
)

// share is one of the upstreams among whom a rule divides calls.
type share struct {
	upstream string
	weight   float64
	hash     uint64 // of the upstream's name
}

func newShare(upstream string, weight int) share {
	return share{upstream, float64(weight), mix(textHash(offset, upstream))}
}

// choose gives a draw to one of the shares, each in proportion to its weight. Who draws the same
// gets the same one, in every process and under every rule; and when a weight changes, only as many get another one as
// have to (weighted rendezvous hashing).
func choose(shares []share, draw uint64) string {
	best, least := "", math.Inf(1)
	for i := range shares {
		s := &shares[i]
		const steps = 1 << 53
		u := (float64(mix(draw^s.hash)>>11) + 0.5) / steps // between 0 and 1, and neither
		if cost := -math.Log(u) / s.weight; cost < least {
			best, least = s.upstream, cost
		}
	}
	return best
}

// drawFor is what a call draws: its session does, else its caller, so that either stays with what it has got. Where
// neither is known each call draws for itself.
func drawFor(c *rpc.Call) uint64 {
	if c.Client.Session != "" {
		return textHash(offset, c.Client.Session)
	}
	p := &c.Principal
	if p.Org == "" && p.Team == "" && p.Key == "" && p.User == "" {
		return rand.Uint64()
	}
	h := uint64(offset)
	for _, part := range [...]string{p.Org, p.Team, p.Key, p.User} {
		h = textHash(h, part)*prime ^ uint64(len(part))
	}
	return h
}

// offset and prime are those of FNV-1a with 64 bits.
const (
	offset = 14695981039346656037
	prime  = 1099511628211
)

func textHash(h uint64, text string) uint64 {
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * prime
	}
	return h
}

// mix spreads what differs in few bits over all of them: the finalizer of SplitMix64.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
