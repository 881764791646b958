package bridge

import (
	"context"
	"crypto/rand"
	"sync"

	"github.com/headgate/headgate/rpc"
)

// lot is where calls are parked.
type lot struct {
	cfg  Config
	work sync.WaitGroup // pumps

	mu     sync.Mutex
	calls  map[string]*parked // by id
	owners map[string]int     // how many unfinished calls a principal has here
	closed bool
}

func newLot(cfg Config) *lot {
	return &lot{cfg: cfg, calls: make(map[string]*parked), owners: make(map[string]int)}
}

// enter parks a call, whose pump must begin then, or returns nil if there is no room for
// it.
func (l *lot) enter(o *opening) *parked {
	owner := string(o.call.Principal.AppendIdentity(nil))
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.owners[owner] >= l.cfg.PerPrincipal || len(l.calls) >= l.cfg.Parked {
		return nil
	}
	p := &parked{
		id: rand.Text(), owner: owner, bridge: o.bridge, lot: l, call: o.call, reply: o.reply,
		release: o.release, turn: &turn{}, changed: make(chan struct{}),
	}
	l.calls[p.id] = p
	l.owners[owner]++
	l.work.Add(1) // while the lot is open: close must not miss a pump that begins meanwhile
	if o.call.Record != nil {
		if p.stake = o.call.Record.Stake; p.stake != nil {
			p.stake.Retain()
		}
	}
	return p
}

// find returns a parked call, or nil.
func (l *lot) find(id string) *parked {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[id]
}

// finished gives up what a call holds, and its share of its principal's room. Its answer
// stays until it leaves.
func (l *lot) finished(p *parked) {
	if p.stake != nil {
		p.stake.Release()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owners[p.owner]--; l.owners[p.owner] == 0 {
		delete(l.owners, p.owner)
	}
}

// size is how many calls are here.
func (l *lot) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls)
}

// leave forgets a call.
func (l *lot) leave(p *parked) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.calls, p.id)
}

// close ends all calls and takes no more. It waits for them as long as ctx lasts.
func (l *lot) close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	calls := make([]*parked, 0, len(l.calls))
	for _, p := range l.calls {
		calls = append(calls, p)
	}
	l.mu.Unlock()
	for _, p := range calls {
		l.work.Go(func() { p.giveUp(anyRound, rpc.Errorf(rpc.Draining, "the gateway is shutting down")) })
	}
	done := make(chan struct{})
	go func() { l.work.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
