package model

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/headgate/headgate/config"
)

// lists is a backend that knows which models its server has.
type lists interface {
	Models(ctx context.Context) ([]string, error)
}

const (
	namesLast  = time.Minute     // for so long names are believed
	namesTime  = 5 * time.Second // that backends have to say them
	namesFirst = 2 * time.Second // for which the first who asks waits
	mostNames  = 1000            // of one glob
)

// names are the models that fit a glob, as the backends know them.
type names struct {
	mu    sync.Mutex
	known []string
	until time.Duration // by the pool's clock
	asked chan struct{} // closed when those who were asked have said it; nil while nobody is
}

// Names returns the models of a glob that its backends have, sorted, as far as that is known. It waits for that only when it is called for the first time,
// and not for long.
func (p *Pool) Names() []string {
	p.names.mu.Lock()
	fresh, first := p.now() < p.names.until, p.names.until == 0
	if !fresh && p.names.asked == nil && p.life.Err() == nil {
		p.names.asked = make(chan struct{})
		p.work.Go(p.learnNames)
	}
	known, asked := p.names.known, p.names.asked
	p.names.mu.Unlock()
	if !first || asked == nil {
		return known
	}
	late := time.NewTimer(namesFirst)
	defer late.Stop()
	select {
	case <-asked:
	case <-late.C:
	}
	p.names.mu.Lock()
	defer p.names.mu.Unlock()
	return p.names.known
}

// learnNames asks all backends at once. What one said stays known while it does not answer only as long as another one says it.
func (p *Pool) learnNames() {
	ctx, cancel := context.WithTimeout(p.life, namesTime)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	var out []string
	for _, m := range *p.members.Load() {
		server, ok := m.server.(lists)
		if !ok {
			continue
		}
		all.Go(func() {
			found, _ := server.Models(ctx) // one that does not say has none that are known
			mu.Lock()
			defer mu.Unlock()
			out = append(out, found...)
		})
	}
	all.Wait()
	slices.Sort(out)
	out = slices.DeleteFunc(slices.Compact(out), func(name string) bool { return !config.Match(p.cfg.Name, name) })
	p.names.mu.Lock()
	defer p.names.mu.Unlock()
	p.names.known, p.names.until = out[:min(len(out), mostNames)], p.now()+namesLast
	close(p.names.asked)
	p.names.asked = nil
}
