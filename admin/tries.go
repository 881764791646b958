package admin

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// maxTries wrong tokens may come from an address at once, and another one each
	// tryInterval.
	maxTries    = 10
	tryInterval = 6 * time.Second
	// triedFrom is how many addresses are remembered; the one that tried longest ago is
	// forgotten.
	triedFrom = 1024
)

// tries counts wrong tokens by the address they came from, so that nobody can try many.
type tries struct {
	mu    sync.Mutex
	until *simplelru.LRU[netip.Addr, time.Time] // when all tries of an address are made good
}

func newTries() *tries {
	until, err := simplelru.NewLRU[netip.Addr, time.Time](triedFrom, nil)
	if err != nil {
		panic(err) // the size is positive
	}
	return &tries{until: until}
}

// wait returns how long an address has to wait until it may try again, 0 for not at all.
func (t *tries) wait(a netip.Addr, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	until, tried := t.until.Get(network(a))
	if !tried {
		return 0
	}
	return max(until.Sub(now)-(maxTries-1)*tryInterval, 0)
}

// failed counts a wrong token.
func (t *tries) failed(a netip.Addr, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	until, _ := t.until.Get(network(a))
	if until.Before(now) {
		until = now
	}
	t.until.Add(network(a), until.Add(tryInterval))
}

// network is what counts as one address: who has one IPv6 address has a whole network of
// them (RFC 6177).
func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if p, err := a.Prefix(64); a.Is6() && err == nil {
		return p.Addr()
	}
	return a
}
