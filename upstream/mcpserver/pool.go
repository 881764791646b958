package mcpserver

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// Pool is the servers behind one upstream. It offers what a [Server] does, and chooses one of them for each call. With one server it is
// that server and its breaker. All its methods may be called concurrently, but OnNotice, OnLog, OnVisited and Close only once.
type Pool struct {
	cfg  config.Upstream
	deps Deps
	life *lifetime
	pool *upstream.Pool

	mu      sync.Mutex // held to change the members
	members atomic.Pointer[[]*member]
	many    atomic.Bool // there is more than one, or was
	pins    sync.Map    // of client sessions with links of their own: key → *member
	subs    subscriptions
	changes changes
	notice  atomic.Pointer[func(*rpc.Message)]
	logged  func(Log)
	visits  func(session string, m *rpc.Message)
}

var _ rpc.Handler = (*Pool)(nil)

// member is one of the servers. It is the pool's handler for its backend.
type member struct {
	*upstream.Backend
	pool   *Pool
	server *Server
	url    string
	tag    string // marks what only this server understands
}

// NewPool returns the servers that cfg describes. It does no I/O: the first call connects. The error is one of the configuration.
func NewPool(cfg config.Upstream, deps Deps, retry upstream.Retry) (*Pool, error) {
	p := &Pool{cfg: cfg, deps: deps, life: newLifetime()}
	p.subs.p, p.changes.p = p, p
	replicas := cfg.Replicas()
	p.pool = upstream.NewPool(upstream.PoolConfig{
		Upstream: cfg.Name, Log: deps.Log, Life: p.life, Balance: balances[cfg.Balance], Breaker: breakerOf(cfg),
		Health: healthOf(cfg), SlowStart: cfg.SlowStart, Prefer: p.prefer, Retry: retry,
	})
	p.members.Store(&[]*member{})
	if len(replicas) == 0 { // a program, or nothing
		replicas = []config.Backend{{Weight: 1}}
	}
	made := make([]*member, len(replicas))
	for i, r := range replicas {
		m, err := p.open(cfg.Only(r), r)
		if err != nil {
			return nil, err
		}
		made[i] = m
	}
	for i, m := range made { // from now on they are asked whether they are well
		p.join(m, replicas[i].Weight)
	}
	return p, nil
}

var balances = map[string]upstream.Balance{
	"": upstream.LeastLoaded, "least-loaded": upstream.LeastLoaded, "weighted": upstream.Weighted, "consistent-hash": upstream.ConsistentHash,
}

// breakerOf returns what is configured, or what is usual. Of a single server the time is short: as soon as it is back it is to be used. Programs
// are started again when they are called, ever more rarely if they keep ending, which is a breaker of its own.
func breakerOf(cfg config.Upstream) upstream.BreakerConfig {
	const failures = 5
	switch b, replicas := cfg.Breaker, len(cfg.Replicas()); {
	case b != nil:
		return upstream.BreakerConfig{Failures: b.Failures, OpenFor: b.OpenFor}
	case replicas == 0:
		return upstream.BreakerConfig{}
	case replicas == 1:
		return upstream.BreakerConfig{Failures: failures, OpenFor: time.Second}
	}
	return upstream.BreakerConfig{Failures: failures, OpenFor: 5 * time.Second}
}

func healthOf(cfg config.Upstream) upstream.HealthConfig {
	if cfg.Health == nil {
		return upstream.HealthConfig{}
	}
	return upstream.HealthConfig{Interval: cfg.Health.Interval, Timeout: cfg.Health.Timeout}
}

// open makes a server that is not yet in the pool.
func (p *Pool) open(cfg config.Upstream, r config.Backend) (*member, error) {
	deps := p.deps
	if len(p.cfg.Backends) > 0 {
		deps.Log = deps.Log.With("backend", backendOf(cfg))
	}
	s, err := New(cfg, deps)
	if err != nil {
		return nil, err
	}
	m := &member{pool: p, server: s, url: r.URL, tag: tagOf(r.URL)}
	s.OnNotice(func(n *rpc.Message) { p.noticed(m, n) })
	s.OnLog(func(l Log) {
		if p.logged != nil {
			p.logged(l)
		}
	})
	s.OnVisited(func(session string, n *rpc.Message) {
		if p.visits != nil {
			p.visits(session, n)
		}
	})
	return m, nil
}

// join puts a server into the pool. The lock is held, or the pool is new.
func (p *Pool) join(m *member, weight int) {
	all := append(slices.Clone(*p.members.Load()), m)
	if len(all) > 1 {
		p.many.Store(true)
	}
	m.Backend = p.pool.Add(upstream.BackendConfig{ID: p.idOf(m.server.cfg), Weight: weight, Handler: m, Probe: m.server.check})
	p.members.Store(&all)
}

// idOf returns what a server is called in its pool: HOST:PORT, and its path where others have the same.
func (p *Pool) idOf(cfg config.Upstream) string {
	id := backendOf(cfg)
	for _, m := range *p.members.Load() {
		if at, err := url.Parse(cfg.URL); m.ID() == id && err == nil {
			return id + at.EscapedPath()
		}
	}
	return id
}

// Name returns the name that the configuration gives the upstream.
func (p *Pool) Name() string { return p.cfg.Name }

// Handle sends a call to one of the servers, as [Server.Handle] does.
func (p *Pool) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	return p.pool.Handle(ctx, c)
}

// Backends returns how the servers do, without asking them.
func (p *Pool) Backends() []upstream.BackendStatus { return p.pool.Status() }

// Describe returns what the first of the servers that can be asked says of itself.
func (p *Pool) Describe(ctx context.Context) (d Description, err error) {
	for _, m := range p.inOrder() {
		if d, err = m.server.Describe(ctx); err == nil || ctx.Err() != nil {
			return d, err
		}
	}
	return d, err
}

// inOrder returns the members, those that are well before the others.
func (p *Pool) inOrder() []*member {
	all := slices.Clone(*p.members.Load())
	slices.SortStableFunc(all, func(a, b *member) int {
		switch x, y := a.well(), b.well(); {
		case x == y:
			return 0
		case x:
			return -1
		}
		return 1
	})
	return all
}

// well reports whether the server is as good as any, as far as is known.
func (m *member) well() bool { return m.Usable() && m.server.State().Status != Down }

// State returns what was last seen of the servers, without asking them: the upstream is up as long as one of them is.
func (p *Pool) State() State {
	all := *p.members.Load()
	out := all[0].server.State()
	for _, m := range all[1:] {
		s := m.server.State()
		restarts := out.Restarts + s.Restarts
		if better(s.Status, out.Status) {
			out = s
		}
		out.Restarts = restarts
	}
	return out
}

// better reports whether one status says more for an upstream than another.
func better(a, b Status) bool {
	rank := [...]int{Up: 3, Connecting: 2, Down: 1, Disabled: 0}
	return rank[a] > rank[b]
}

// OnLog sets who is told of log messages outside of calls, as [Server.OnLog] does.
func (p *Pool) OnLog(f func(Log)) { p.logged = f }

// OnVisited sets who is told of visited pages, as [Server.OnVisited] does.
func (p *Pool) OnVisited(f func(session string, m *rpc.Message)) { p.visits = f }

// EndSession ends the links that a client session had to itself.
func (p *Pool) EndSession(key string) {
	p.pins.Delete(key)
	for _, m := range *p.members.Load() {
		m.server.EndSession(key)
	}
}

// SetBackends changes which servers there are. Those that leave get no more calls; sessions that had connections of their own to them are
// opened at others with their next call. The function that it returns, nil if none leaves, waits until their replies have ended, or ctx has,
// and closes them. The error is one of the configuration, and then nothing has changed. One call of SetBackends runs at a time.
func (p *Pool) SetBackends(replicas []config.Backend) (leave func(ctx context.Context), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var fresh []*member
	stay := map[string]config.Backend{}
	for _, r := range replicas {
		stay[r.URL] = r
		if slices.ContainsFunc(*p.members.Load(), func(m *member) bool { return m.url == r.URL }) {
			continue
		}
		m, err := p.open(p.cfg.Only(r), r)
		if err != nil {
			return nil, fmt.Errorf("backend %s: %w", backendOf(p.cfg.Only(r)), err)
		}
		fresh = append(fresh, m)
	}
	for _, m := range fresh {
		p.join(m, stay[m.url].Weight)
	}
	var gone []*member
	now := slices.DeleteFunc(slices.Clone(*p.members.Load()), func(m *member) bool {
		r, stays := stay[m.url]
		if !stays {
			gone = append(gone, m)
			return true
		}
		m.SetWeight(r.Weight)
		return false
	})
	p.members.Store(&now)
	p.subs.note(nil, 0) // there may be others now that can take its place
	if len(gone) == 0 {
		return nil, nil //nolint:nilnil // nobody leaves
	}
	return p.parting(gone), nil
}

// parting takes members out of the pool.
func (p *Pool) parting(gone []*member) func(ctx context.Context) {
	var leaving sync.WaitGroup
	drained := make([]<-chan struct{}, len(gone))
	for i, m := range gone {
		drained[i] = p.pool.Remove(m.Backend)
	}
	return func(ctx context.Context) {
		for i, m := range gone {
			leaving.Go(func() {
				p.subs.leave(ctx, m)
				select {
				case <-drained[i]:
				case <-ctx.Done():
				}
				within, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
				defer cancel()
				_ = m.server.Close(within) // what does not end by then ends with the process
			})
		}
		leaving.Wait()
	}
}

// Close ends all connections, as [Server.Close] does.
func (p *Pool) Close(ctx context.Context) error {
	p.pool.Close()
	p.changes.close()
	err := p.life.end(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	var all sync.WaitGroup
	var mu sync.Mutex
	for _, m := range *p.members.Load() {
		all.Go(func() {
			if e := m.server.Close(ctx); e != nil {
				mu.Lock()
				defer mu.Unlock()
				err = e
			}
		})
	}
	all.Wait()
	return err
}
