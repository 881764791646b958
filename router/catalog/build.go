package catalog

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/headgate/headgate/rpc"
)

// builder merges snapshots into a table.
type builder struct {
	catalog *Catalog
	view    *View
	list    list
	era     rpc.Era
	table   *Table
	found   []found
	count   map[string]int  // how many upstreams have a plain name
	taken   map[string]bool // canonical names
}

type found struct {
	*item
	upstream string
}

// miss notes that an upstream has no snapshot for the table's audience. Who may see
// what it has is not known.
func (b *builder) miss(upstream string, failure error) {
	b.table.absent = append(b.table.absent, upstream)
	b.table.public = false
	b.table.failures = append(b.table.failures, failure)
}

func (b *builder) take(upstream string, snap *snapshot, failure error) {
	t := b.table
	t.ttl = min(t.ttl, snap.ttl)
	t.public = t.public && snap.public
	if failure != nil {
		t.ttl = min(t.ttl, minTTL) // what it lists may have changed unseen
	}
	if at := snap.expires; failure == nil && at.Before(t.refresh) {
		// Never at once: a snapshot being renewed must not make each call build a table.
		t.refresh = later(at, time.Now().Add(minTTL))
	}
	if snap.offered {
		t.offering = append(t.offering, upstream)
	}
	for i := range snap.items {
		f := found{&snap.items[i], upstream}
		if b.list != toolList || b.view.Allows(f.own) && b.view.Allows(f.canonical) {
			b.found = append(b.found, f)
			b.count[b.plain(f)]++
			b.taken[f.canonical] = true
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (b *builder) finish() *Table {
	t := b.table
	for _, f := range b.found {
		name := b.exposed(f)
		if b.claim(name, name, f) {
			t.entries = append(t.entries, entry{b.shown(f, name), t.targets[name]})
		}
		if f.pattern != nil {
			t.patterns = append(t.patterns, fitting{f.pattern, f.upstream})
		}
	}
	// What is shown comes first. Then each is known by its canonical name too, and by
	// its own where that is clear: the views of an app call their server's tools by
	// the names that the server gave them.
	for _, f := range b.found {
		b.claim(f.canonical, b.exposed(f), f)
	}
	for _, f := range b.found {
		if b.list.byURI() || b.count[b.plain(f)] == 1 {
			b.claim(f.own, b.exposed(f), f)
		}
	}
	slices.SortStableFunc(t.patterns, func(x, y fitting) int { return x.pattern.compare(y.pattern) })
	if len(t.absent) > 0 {
		t.ttl = min(t.ttl, minTTL) // a partial list must not be kept
	}
	return t
}

// claim lets a name lead to what was found, unless it leads elsewhere already.
func (b *builder) claim(name, exposed string, f found) bool {
	if _, taken := b.table.targets[name]; taken || b.table.withheld[name] != nil {
		return false
	}
	if f.withheld != "" { // and its name leads to no other one instead
		if b.table.withheld == nil {
			b.table.withheld = map[string]*rpc.Error{}
		}
		b.table.withheld[name] = f.refuse(b.list)
		return false
	}
	b.table.targets[name] = &rpc.Target{
		Kind: b.list.traits().kind, Exposed: exposed, Canonical: f.canonical, Upstream: f.upstream, Own: f.own,
		Idempotent: f.hints.idempotent, Cacheable: f.hints.cacheable && !f.task, Task: f.task, ParamHeaders: f.headers,
	}
	return true
}

// plain returns what an entry would be called if its upstream were the only one.
func (b *builder) plain(f found) string {
	if b.list.byURI() {
		return f.own
	}
	return Plain(f.own)
}

// exposed returns the name or URI an entry is shown under.
func (b *builder) exposed(f found) string {
	plain := b.plain(f)
	switch {
	case b.view.Single:
		return f.own
	case b.list.byURI() && (b.count[plain] > 1 || b.catalog.needsName(b.view, plain)):
		return f.canonical
	case b.list.byURI():
		return plain
	case b.taken[plain]: // nobody's tool stands for another's
		return f.canonical
	case b.view.Prefix == Never, b.view.Prefix == OnCollision && b.count[plain] == 1:
		return plain
	default:
		return f.canonical
	}
}

// shown returns the text of an entry. The URI of the user interface that a tool
// names changes as the resource's does.
func (b *builder) shown(f found, name string) json.RawMessage {
	text := f.item.shown(b.list, name, b.era)
	if b.list == toolList && !b.view.Single {
		return withView(text, f.upstream)
	}
	return text
}
