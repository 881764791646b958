package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
)

const (
	// linger is how long, at the least, an upstream stays that no generation has any more: calls that began with one
	// that did may not have come to it yet.
	linger = time.Second
	// partTime is how long ending it may take.
	partTime = 15 * time.Second
)

// parting are upstreams that no generation has any more and that are still held, with what had them last.
type parting struct {
	mu      sync.Mutex
	members map[*member]*generation
	done    sync.WaitGroup
}

func (p *parting) add(m *member, last *generation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.members == nil {
		p.members = map[*member]*generation{}
	}
	p.members[m] = last
}

func (p *parting) remove(m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.members, m)
}

// all returns them.
func (p *parting) all() map[*member]*generation {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[*member]*generation, len(p.members))
	maps.Copy(out, p.members)
	return out
}

// retire lets upstreams end once nothing holds them, or after the time that calls in flight get.
func (g *Gateway) retire(gone []*member, last *generation, drain time.Duration) {
	for _, m := range gone {
		g.parting.add(m, last)
		g.parting.done.Go(func() {
			g.part(m, drain)
			g.parting.remove(m)
		})
	}
}

// part ends one upstream.
func (g *Gateway) part(m *member, drain time.Duration) {
	pause(g.life, linger)
	ctx, cancel := context.WithTimeout(g.life, drain)
	defer cancel()
	if !m.part(ctx) {
		g.log.Warn("upstream ends with calls in flight", "upstream", m.Name())
	}
	last, stop := context.WithTimeout(context.WithoutCancel(g.life), partTime)
	defer stop()
	if err := m.Close(last); err != nil {
		g.log.Warn("upstream did not end in time", "upstream", m.Name(), "error", err.Error())
		return
	}
	g.log.Info("upstream ended", "upstream", m.Name())
}

// pause returns after a time, or when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// closeMembers ends all upstreams and models, at the same time.
func (g *Gateway) closeMembers(ctx context.Context) error {
	g.endLife()
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	if n := g.generation(); n != nil {
		for _, m := range n.servers {
			all.Go(func() {
				if err := m.Close(ctx); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, fmt.Errorf("%s: %w", m.Name(), err))
				}
			})
		}
		for _, m := range n.pools {
			all.Go(func() {
				if err := m.Close(); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, fmt.Errorf("model %s: %w", m.Name(), err))
				}
			})
		}
	}
	all.Wait()
	g.parting.done.Wait()
	return errors.Join(errs...)
}

// moved serves a call that was on its way to an upstream when that ended: who has its name now gets it.
func (g *Gateway) moved(name string) rpc.HandlerFunc {
	return func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if m := g.generation().server(name); m != nil {
			return m.Handle(ctx, c)
		}
		err := rpc.Errorf(rpc.UpstreamDown, "upstream %q is not here any more", name)
		err.Upstream, err.NotRun = name, true
		return nil, err
	}
}

// former is an upstream that the configuration does not have any more, for calls that go on with one which runs there.
func (g *Gateway) former(name string) rpc.Handler {
	for m, last := range g.parting.all() {
		if m.Name() == name {
			return last.handlers[name]
		}
	}
	return nil
}

// relocate finds what a call is about that goes on with a parked one, among what was there when that began.
func (g *Gateway) relocate(ctx context.Context, c *rpc.Call) bool {
	if _, sent := c.Message.Get("requestState"); !sent {
		return false
	}
	for _, last := range g.parting.all() {
		found := *c
		found.Record = nil // nothing has been found yet
		if last.router.Locate(ctx, &found) == nil && g.bridge.Continues(&found) {
			c.Target = found.Target
			return true
		}
	}
	return false
}
