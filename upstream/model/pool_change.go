package model

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"sync"

	"github.com/headgate/headgate/config"
)

// idOf returns what a backend is called in its pool: HOST:PORT, or UPSTREAM/TOOL, and more where others have the same. The lock is held, or the
// pool is new.
func (p *Pool) idOf(cfg config.ModelBackend) string {
	id := cfg.Upstream + "/" + cfg.Tool
	at, err := url.Parse(cfg.URL)
	if cfg.URL != "" && err == nil {
		id = hostOf(at)
	}
	taken := func(id string) bool {
		return slices.ContainsFunc(*p.members.Load(), func(m *replica) bool { return m.ID() == id })
	}
	if taken(id) && err == nil {
		id = cmp.Or(id+at.EscapedPath(), id)
	}
	if taken(id) && cfg.Model != "" {
		id += " " + cfg.Model
	}
	for n, one := 2, id; taken(id); n++ {
		id = one + " " + strconv.Itoa(n)
	}
	return id
}

// hostOf returns HOST:PORT.
func hostOf(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	port := "80"
	if u.Scheme == "https" || u.Scheme == "wss" {
		port = "443"
	}
	return u.Host + ":" + port
}

// same reports whether a backend is the same one in two configurations: all but how many calls it gets.
func same(a, b config.ModelBackend) bool {
	a.Weight, a.MaxInFlight = b.Weight, b.MaxInFlight
	return config.Fingerprint(config.SettingsOf(a)) == config.Fingerprint(config.SettingsOf(b))
}

// SetBackends changes which backends there are. Those that leave get no more calls. The function that it returns, nil if none leaves, waits
// until their calls have ended, or ctx has, and closes them. The error is one of the configuration, and then nothing has changed.
func (p *Pool) SetBackends(backends []config.ModelBackend) (leave func(ctx context.Context), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := *p.members.Load()
	stays := func(m *replica) *config.ModelBackend {
		i := slices.IndexFunc(backends, func(b config.ModelBackend) bool { return same(m.cfg, b) })
		if i < 0 {
			return nil
		}
		return &backends[i]
	}
	for _, b := range backends {
		if slices.ContainsFunc(old, func(m *replica) bool { return same(m.cfg, b) }) {
			continue
		}
		m, err := p.join(b)
		if err != nil {
			fresh := slices.DeleteFunc(slices.Clone(*p.members.Load()), func(m *replica) bool { return slices.Contains(old, m) })
			leave := p.part(fresh)
			p.work.Go(func() { leave(p.life) })
			return nil, err
		}
		if p.cfg.WarmUp.At == "start" {
			m.kick(p.now())
		}
	}
	var gone []*replica
	for _, m := range old {
		if b := stays(m); b != nil {
			m.SetWeight(b.Weight)
			m.slots.Store(int64(b.MaxInFlight))
		} else {
			gone = append(gone, m)
		}
	}
	p.moved.send()
	if len(gone) == 0 {
		return nil, nil //nolint:nilnil // nobody leaves
	}
	return p.part(gone), nil
}

// part takes members out of the pool. The lock is held.
func (p *Pool) part(gone []*replica) (leave func(ctx context.Context)) {
	now := slices.DeleteFunc(slices.Clone(*p.members.Load()), func(m *replica) bool { return slices.Contains(gone, m) })
	leavers := append(slices.Clone(*p.leavers.Load()), gone...)
	p.leavers.Store(&leavers)
	p.members.Store(&now)
	drained := make([]<-chan struct{}, len(gone))
	for i, m := range gone {
		drained[i] = p.pool.Remove(m.Backend)
		m.stop(errPoolClosed)
	}
	return func(ctx context.Context) {
		var all sync.WaitGroup
		for i, m := range gone {
			all.Go(func() {
				select {
				case <-drained[i]:
				case <-ctx.Done():
				}
				_ = m.server.Close() // there is nothing that could be done about it
			})
		}
		all.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		left := slices.DeleteFunc(slices.Clone(*p.leavers.Load()), func(m *replica) bool { return slices.Contains(gone, m) })
		p.leavers.Store(&left)
	}
}
