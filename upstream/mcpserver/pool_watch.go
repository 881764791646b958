package mcpserver

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// guardEvery is how often it is looked whether the server that tells of resources is well.
const guardEvery = 500 * time.Millisecond

// subscriptions are what somebody here has subscribed to. Of several servers one is asked for all of it; when that one fails
// or leaves, another one is asked before it is given up.
type subscriptions struct {
	p *Pool

	// turn is held for reading while a server is asked, and for writing while another one takes its place.
	turn   sync.RWMutex
	holder atomic.Pointer[member] // nil until there is anything to hold
	former atomic.Pointer[member] // gives way to the holder just now, and may still tell what that one does not

	mu      sync.Mutex
	wanted  map[string]int // URIs, and how many want each
	guarded bool
}

// hears reports whether a server is the one to tell of resources.
func (s *subscriptions) hears(m *member) bool {
	holder := s.holder.Load()
	return holder == nil || holder == m || s.former.Load() == m
}

// held returns who holds the subscriptions. The turn is held.
func (s *subscriptions) held() *member {
	for {
		if m := s.holder.Load(); m != nil {
			return m
		}
		s.holder.CompareAndSwap(nil, s.p.inOrder()[0])
	}
}

// note counts those who want URIs, one more or one less.
func (s *subscriptions) note(uris []string, more int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wanted == nil {
		s.wanted = map[string]int{}
	}
	for _, uri := range uris {
		if s.wanted[uri] += more; s.wanted[uri] <= 0 {
			delete(s.wanted, uri)
		}
	}
	if !s.guarded && s.p.many.Load() {
		s.guarded = s.p.life.run(s.guard)
	}
}

// all returns the URIs, each as often as somebody wants it.
func (s *subscriptions) all() (each, list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for uri, n := range s.wanted {
		each = append(each, uri)
		for range n {
			list = append(list, uri)
		}
	}
	return each, list
}

// guard moves the subscriptions away from a server that is not well, as long as the pool lives.
func (s *subscriptions) guard() {
	for sleep(s.p.life, guardEvery) {
		if m := s.holder.Load(); m != nil && !m.well() {
			s.move(s.p.life, m)
		}
	}
}

// move has another server tell of what this one told, if there is one that is better and that agrees. The new one is asked before the old
// one is given up. What changed in between counts as changed, since an old one that has failed did not tell of it.
func (s *subscriptions) move(ctx context.Context, from *member) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.holder.Load() != from {
		return
	}
	each, list := s.all()
	for _, to := range s.p.inOrder() {
		if to == from || !to.well() {
			continue
		}
		s.former.Store(to) // it may be heard as soon as it agrees
		if len(list) > 0 {
			if _, err := to.server.Subscribe(ctx, list); err != nil {
				s.former.Store(nil)
				continue
			}
		}
		s.former.Store(from)
		s.holder.Store(to)
		from.server.Unsubscribe(list)
		s.former.Store(nil)
		for _, uri := range each {
			s.p.announce(rpc.NewNotification(mcp.ResourceUpdated, uriParams(uri)))
		}
		return
	}
}

// leave moves the subscriptions away from a server that has left the pool.
func (s *subscriptions) leave(ctx context.Context, m *member) {
	if s.holder.Load() == m {
		s.move(ctx, m)
	}
}

// Subscribe asks one of the servers to tell of changes of resources, as [Server.Subscribe] does.
func (p *Pool) Subscribe(ctx context.Context, uris []string) (agreed []string, err error) {
	s := &p.subs
	for range 2 {
		s.turn.RLock()
		m := s.held()
		if agreed, err = m.server.Subscribe(ctx, uris); err == nil {
			s.note(agreed, 1)
		}
		s.turn.RUnlock()
		if err == nil || ctx.Err() != nil || m.well() || !p.many.Load() {
			break
		}
		s.move(ctx, m)
	}
	return agreed, err
}

// Resubscribe asks one of the servers again, as [Server.Resubscribe] does.
func (p *Pool) Resubscribe(uris []string, told func(refused []string)) {
	s := &p.subs
	s.turn.RLock()
	defer s.turn.RUnlock()
	s.held().server.Resubscribe(uris, told)
	s.note(uris, 1)
}

// Unsubscribe gives up what Subscribe agreed to.
func (p *Pool) Unsubscribe(uris []string) {
	s := &p.subs
	s.turn.RLock()
	defer s.turn.RUnlock()
	s.note(uris, -1)
	s.held().server.Unsubscribe(uris)
}

// Follow asks the servers that run tasks to tell of them, as [Server.Follow] does.
func (p *Pool) Follow(ctx context.Context, tasks []string) (agreed []string, err error) {
	for m, own := range p.owners(tasks) {
		got, e := m.server.Follow(ctx, own)
		if e != nil {
			err = e
		}
		for _, id := range got {
			if p.many.Load() {
				id = m.tag + id
			}
			agreed = append(agreed, id)
		}
	}
	if len(agreed) > 0 {
		err = nil
	}
	return agreed, err
}

// Unfollow gives up what Follow agreed to.
func (p *Pool) Unfollow(tasks []string) {
	for m, own := range p.owners(tasks) {
		m.server.Unfollow(own)
	}
}

// owners returns which server runs which tasks, by their ids there.
func (p *Pool) owners(tasks []string) map[*member][]string {
	out := map[*member][]string{}
	for _, id := range tasks {
		tag, own := untag(id)
		m := p.of(tag)
		if m == nil {
			m = (*p.members.Load())[0]
		}
		out[m] = append(out[m], own)
	}
	return out
}
