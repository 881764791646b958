package auth

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// maxTries wrong credentials may come from an address at once, and another one
	// each tryInterval. Behind one address can be an office whose tokens end together.
	maxTries    = 60
	tryInterval = time.Second

	tryShards     = 16
	triesPerShard = 1024 // addresses; the one that tried longest ago is forgotten
)

// tries counts wrong credentials by the address they came from, so that nobody can try
// many. It is bounded. While nobody has failed, asking it costs one load.
type tries struct {
	failing atomic.Bool // anybody ever failed
	seed    maphash.Seed
	shards  [tryShards]tryShard
}

type tryShard struct {
	mu      sync.Mutex
	buckets *simplelru.LRU[netip.Addr, bucket]
}

// bucket has a room of tries that fills again with time.
type bucket struct {
	spent time.Duration // tryInterval for each try that has not been made good
	at    time.Time
	told  bool // it was empty, and has not been full since
}

func newTries() *tries {
	t := &tries{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].buckets, _ = simplelru.NewLRU[netip.Addr, bucket](triesPerShard, nil) // fails for sizes below 1 only
	}
	return t
}

// Network is what counts as one address: who has one IPv6 address has a whole network
// of them (RFC 6177).
func Network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

// wait returns how long an address has to wait until it may try again, 0 for not at
// all.
func (t *tries) wait(a netip.Addr, now time.Time) time.Duration {
	if !t.failing.Load() {
		return 0
	}
	a = Network(a)
	s := t.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.buckets.Get(a)
	if !ok {
		return 0
	}
	left := b.left(now)
	if left == 0 {
		s.buckets.Remove(a)
	}
	return max(left-(maxTries-1)*tryInterval, 0)
}

// failed counts a wrong credential, and reports whether it is the one by which the
// address has used up all of its tries.
func (t *tries) failed(a netip.Addr, now time.Time) bool {
	t.failing.Store(true)
	a = Network(a)
	s := t.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	b, _ := s.buckets.Get(a)
	spent := min(b.left(now)+tryInterval, maxTries*tryInterval)
	told := b.told && spent > tryInterval
	out := !told && spent > (maxTries-1)*tryInterval
	s.buckets.Add(a, bucket{spent: spent, at: now, told: told || out})
	return out
}

// left is how much of what was spent has not come back.
func (b bucket) left(now time.Time) time.Duration { return max(b.spent-max(now.Sub(b.at), 0), 0) }

func (t *tries) shard(a netip.Addr) *tryShard {
	return &t.shards[maphash.Comparable(t.seed, a)%tryShards]
}
