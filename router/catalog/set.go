package catalog

import (
	"context"
	"slices"
	"time"
)

// Set is the sources that a configuration has, with what is known of each. It never changes; what is known does.
type Set struct {
	order []string // upstreams as configured
	feeds map[string]*[listCount]feed
}

// Prepare makes a set of sources in the order given. Nothing changes by it until [Catalog.Adopt]. A source with the
// name and the key of one that is in use keeps all that is known of that one; any other begins with nothing.
func (c *Catalog) Prepare(sources []Source) *Set {
	old := c.set.Load()
	s := &Set{feeds: make(map[string]*[listCount]feed, len(sources))}
	for _, source := range sources {
		if !source.Apart {
			s.order = append(s.order, source.Name)
		}
		if feeds := old.feeds[source.Name]; feeds != nil && source.Key != nil && feeds[0].source.Key == source.Key {
			s.feeds[source.Name] = feeds
			continue
		}
		s.feeds[source.Name] = c.newFeeds(source)
	}
	return s
}

func (c *Catalog) newFeeds(source Source) *[listCount]feed {
	feeds := new([listCount]feed)
	for l := range listCount {
		f := &feeds[l]
		f.source, f.list, f.catalog, f.slots, f.quiet = source, l, c, map[Audience]*slot{}, settle
	}
	return feeds
}

// Adopt makes a set the one that is listed from. Nobody is asked for the first one before somebody wants to know; of the
// others, what is new is listed at once. Of a source that takes the place of another one, what that had
// listed is shown until its own lists are there. Clients are told what turns out to differ, unless it was listed
// before: that is in what [Catalog.Differs] finds.
func (c *Catalog) Adopt(s *Set) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	old := c.set.Swap(s)
	first := !c.begun
	c.begun = true
	c.mu.Unlock()
	for name, feeds := range s.feeds {
		before := old.feeds[name]
		if before == feeds {
			continue
		}
		for l := range feeds {
			switch {
			case first:
				feeds[l].begin()
			case before == nil:
				feeds[l].succeed(nil)
			default:
				feeds[l].succeed(&before[l])
			}
		}
	}
	for name, feeds := range old.feeds {
		if s.feeds[name] != feeds {
			for l := range feeds {
				feeds[l].stop()
			}
		}
	}
	for l := range c.generations {
		c.generations[l].Add(1)
	}
	c.tables.Clear() // of views that nobody uses any more
	c.special.Store(0)
}

// Differs returns the methods of the notifications by which clients learn that a view shows something else than
// another one, of its endpoint, did.
func (c *Catalog) Differs(ctx context.Context, before, after *View) (methods []string) {
	for l := range listCount {
		method := l.traits().changed
		if slices.Contains(methods, method) {
			continue
		}
		if !slices.EqualFunc(c.entries(ctx, before, l), c.entries(ctx, after, l), entry.reads) {
			methods = append(methods, method)
		}
	}
	return methods
}

// entries returns what a view shows clients that declare nothing. Nothing is kept of it.
func (c *Catalog) entries(ctx context.Context, v *View, l list) []entry {
	client := ownClient()
	return c.build(ctx, v, client, tableKey{v.Endpoint, v.Version, l, Anybody, client.Era}, false).entries
}

// reads reports whether entries read the same to clients.
func (e entry) reads(other entry) bool { return string(e.text) == string(other.text) }

// Warm drains sources of a set that is not in use yet, as [Catalog.Warm] does.
func (s *Set) Warm(ctx context.Context, upstreams ...string) {
	var pending []<-chan struct{}
	for name, feeds := range s.feeds {
		if len(upstreams) > 0 && !slices.Contains(upstreams, name) {
			continue
		}
		for l := range feeds {
			if _, busy, _ := feeds[l].look(Anybody, ownClient(), time.Now()); busy != nil {
				pending = append(pending, busy)
			}
		}
	}
	for _, busy := range pending {
		select {
		case <-busy:
		case <-ctx.Done():
			return
		}
	}
}

// begin begins to tell of changes. Nobody is told of what is listed first.
func (f *feed) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live = true
}

// succeed begins to tell of changes, in the place of another feed if there was one.
func (f *feed) succeed(former *feed) {
	var known map[Audience]*slot
	if former != nil && former.source.Listed == f.source.Listed {
		known = former.lastKnown()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live = true
	if s := f.slots[Anybody]; s != nil && s.current != nil {
		if len(known) > 1 { // what others see is listed when they ask, and may be something else
			f.catalog.changes.add(f.list.traits().changed, f.source.Name, nil)
		}
		return
	}
	f.told = known[Anybody] == nil // clients have not been told of what is listed first
	now := time.Now()
	for a, was := range known {
		_, s := f.slot(a, was.client, now)
		s.current = was.current.within(f)
	}
	a, s := f.slot(Anybody, ownClient(), now)
	if s.busy == nil {
		f.start(a, s)
	}
}

// lastKnown returns what each audience was shown last.
func (f *feed) lastKnown() map[Audience]*slot {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[Audience]*slot, len(f.slots))
	for a, s := range f.slots {
		if s.current != nil {
			out[a] = &slot{client: s.client, current: s.current}
		}
	}
	return out
}

// within returns what a snapshot of another feed's holds that may be shown as this one's. It is to be renewed at once.
func (s *snapshot) within(f *feed) *snapshot {
	out := *s
	out.expires = time.Time{}
	if f.list == toolList {
		out.items = slices.DeleteFunc(slices.Clone(s.items), func(i item) bool { return !f.source.Allows(i.own) })
	}
	out.sum()
	return &out
}
