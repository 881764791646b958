package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/router/pin"
	"github.com/headgate/headgate/router/subscription"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream/mcpserver"
)

const (
	// linger is how long, at the least, an upstream stays that no generation has any more: calls that began with one
	// that did may not have come to it yet.
	linger = time.Second
	// partTime is how long ending it may take.
	partTime = 15 * time.Second
)

// membersOf makes the upstreams of a generation, but for those that another one has in the same way.
func (g *Gateway) membersOf(n, old *generation) error {
	cfg := n.cfg
	for _, u := range cfg.Upstreams {
		if u.Disabled != "" {
			g.log.Debug("upstream disabled", "upstream", u.Name, "reason", u.Disabled)
			continue
		}
		print := printOf(cfg, u)
		m := old.server(u.Name)
		if m == nil || m.print != print {
			s, err := mcpserver.NewPool(u, mcpserver.Deps{
				Log: g.logOf("upstream"), HTTP: g.http, Identity: mcpserver.Identity{Name: "headgate", Version: g.version},
				Environ: g.environ, MaxResult: int64(cfg.Bounds.Result), SessionEnded: g.measures.upstreamSessionEnded(),
			}, retries(u))
			if err != nil {
				return fmt.Errorf("upstream %q: %w", u.Name, err)
			}
			m = g.newMember(s, u, print)
		}
		n.servers = append(n.servers, m)
	}
	return nil
}

// drop ends what was made for a generation that is not used after all. Nothing of it has begun.
func (g *Gateway) drop(n, old *generation) {
	for _, m := range n.servers {
		if old.server(m.Name()) != m {
			_ = m.Close(g.life) // there is nothing that could fail to end
		}
	}
}

// printOf is the fingerprint of all that an upstream's connections and processes depend on. What is shown of it is
// something else, and of several backends each can come and go.
func printOf(cfg *config.Config, u config.Upstream) string {
	several := len(u.Backends) > 1
	u.DisplayName, u.Tools, u.Pins, u.Backends = "", config.Filter{}, config.Pins{}, nil
	return fmt.Sprint(config.Fingerprint(config.SettingsOf(u)), cfg.Bounds.Result, several)
}

// rebalance gives the upstreams of a generation, which others may have had before, the backends that it has for them. Those that leave may
// finish what they do.
func (g *Gateway) rebalance(n *generation) {
	for _, m := range n.servers {
		u := n.upstream(m.Name())
		if len(u.Backends) == 0 {
			continue
		}
		leave, err := m.SetBackends(u.Backends)
		if err != nil {
			g.log.Error("backends are what they were", "upstream", u.Name, "error", err.Error())
		}
		if leave == nil {
			continue
		}
		g.parting.done.Go(func() {
			ctx, cancel := context.WithTimeout(g.life, n.cfg.Shutdown.Drain)
			defer cancel()
			leave(ctx)
		})
	}
}

// server returns the upstream of a name; nil if there is none.
func (n *generation) server(name string) *member {
	if n == nil {
		return nil
	}
	for _, m := range n.servers {
		if m.Name() == name {
			return m
		}
	}
	return nil
}

// tellers are the upstreams as those ask them who want to hear of changes.
func (n *generation) tellers() map[string]subscription.Upstream {
	out := make(map[string]subscription.Upstream, len(n.servers))
	for _, m := range n.servers {
		out[m.Name()] = m
	}
	return out
}

// modes say what follows when an upstream tells models something else than was approved.
func modesOf(cfg *config.Config) map[string]pin.Mode {
	out := make(map[string]pin.Mode, len(cfg.Upstreams))
	for _, u := range cfg.Upstreams {
		if u.Disabled == "" {
			out[u.Name] = pin.Mode(cfg.PinMode(u))
		}
	}
	return out
}

// listed is what the lists of an upstream depend on.
type listed struct {
	member *member
	filter string
	mode   pin.Mode
	unsaid time.Duration
}

// sources shows the upstreams of a generation to the catalogue.
func (g *Gateway) sources(n *generation) []catalog.Source {
	var unsaid time.Duration
	if n.cfg.Cache != nil {
		unsaid = n.cfg.Cache.Lists.TTL
	}
	out := make([]catalog.Source, 0, len(n.servers))
	for _, m := range n.servers {
		u := n.upstream(m.Name())
		key := listed{m, config.Fingerprint(config.SettingsOf(u.Tools)), n.modes[u.Name], unsaid}
		out = append(out, g.pinned(key.mode, catalog.Source{
			Name: u.Name, Key: key, Handler: g.bridge.Cross(m), Allows: u.Tools.Allows, Unsaid: unsaid,
			Describe: func(ctx context.Context) (catalog.Description, error) {
				d, err := m.Describe(ctx)
				return catalog.Description{
					Era: d.Era, HTTP: d.Transport == "http", Server: nameOf(d.ServerInfo), Capabilities: d.Capabilities, Instructions: d.Instructions,
				}, err
			},
		}))
	}
	return out
}

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
	for m, n := range p.members {
		out[m] = n
	}
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

// closeMembers ends all upstreams, at the same time.
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
