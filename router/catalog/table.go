package catalog

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Prefix says under which names a merged endpoint shows tools.
type Prefix string

// The ways to show names. The canonical name is accepted under each of them.
const (
	Always      Prefix = "always"       // canonical names
	OnCollision Prefix = "on-collision" // own names, but canonical ones for names that two upstreams have
	Never       Prefix = "never"        // own names; the first upstream in order has a name that two have
)

// View is what an endpoint shows of the catalogue.
type View struct {
	Endpoint  string
	Version   uint64   // tells views of one endpoint apart that show different things
	Set       *Set     // what it shows is of; nil for whatever the catalogue lists from
	Upstreams []string // in order; empty means all
	Prefix    Prefix
	Single    bool                   // one upstream as it is, nothing renamed
	Allows    func(name string) bool // filters by own or canonical name
	// Sees reports whether a caller is shown a target in lists; nil shows everybody everything.
	Sees func(c *rpc.Call, t *rpc.Target) bool
}

// Has reports whether the view shows an upstream.
func (v *View) Has(upstream string) bool {
	return len(v.Upstreams) == 0 || slices.Contains(v.Upstreams, upstream)
}

// joinTimeout bounds how long a client waits for upstreams that have not answered
// yet. What they have comes later, with a notification.
const joinTimeout = 5 * time.Second

// Table is the merged view of one endpoint for one audience and era. It never
// changes.
type Table struct {
	generation uint64
	refresh    time.Time // when the first of its snapshots expires
	entries    []entry   // in the order they are shown
	targets    map[string]*rpc.Target
	withheld   map[string]*rpc.Error // why names lead nowhere that are known
	patterns   []fitting             // of templates, the most specific one first
	offering   []string              // upstreams that have such a list
	absent     []string              // upstreams that have no snapshot
	ttl        time.Duration         // how long a client may keep the list
	public     bool
	failures   []error // why each of those is absent; nil where it is not known yet
}

// entry is one line of a list, and what it leads to.
type entry struct {
	text   json.RawMessage
	target *rpc.Target
}

// fitting is a template that URIs may fit.
type fitting struct {
	pattern  *pattern
	upstream string
}

type tableKey struct {
	endpoint string
	version  uint64
	list     list
	audience Audience
	era      rpc.Era
}

// table returns the current table of one list of a view, made anew if a snapshot changed. Where
// wait is set it waits, for a bounded time, for upstreams that never answered.
func (c *Catalog) table(ctx context.Context, v *View, l list, client rpc.Client, wait bool) *Table {
	key := tableKey{v.Endpoint, v.Version, l, AudienceOf(client), client.Era}
	now := time.Now()
	if t, ok := c.tables.Load(key); ok {
		t := t.(*Table)
		if t.generation == c.generations[l].Load() && now.Before(t.refresh) && (!wait || len(t.absent) == 0) {
			return t
		}
	}
	t := c.build(ctx, v, client, key, wait)
	if _, known := c.tables.Swap(key, t); !known && key.audience != Anybody && c.special.Add(1) > maxTables {
		c.forgetTables()
	}
	return t
}

// maxTables bounds the tables of audiences: clients may declare something else in each
// request.
const maxTables = 256

// forgetTables drops the tables of all audiences, which cost little to make again.
func (c *Catalog) forgetTables() {
	c.tables.Range(func(key, _ any) bool {
		if key.(tableKey).audience != Anybody {
			if _, there := c.tables.LoadAndDelete(key); there {
				c.special.Add(-1)
			}
		}
		return true
	})
}

func (c *Catalog) build(ctx context.Context, v *View, client rpc.Client, key tableKey, wait bool) *Table {
	if key.audience == Anybody {
		client = ownClient()
	}
	if wait {
		c.join(ctx, v, key, client)
	}
	b := builder{catalog: c, view: v, list: key.list, era: key.era, count: map[string]int{}, taken: map[string]bool{}, table: &Table{
		generation: c.generations[key.list].Load(), targets: map[string]*rpc.Target{}, ttl: time.Hour, public: true,
		refresh: time.Now().Add(time.Hour),
	}}
	set := c.setOf(v)
	for _, name := range set.members(v) {
		f := &set.feeds[name][key.list]
		snap, _, failure := f.look(key.audience, client, time.Now())
		if snap == nil {
			b.miss(name, failure)
		}
		if snap == nil && !wait {
			snap = f.common() // until this audience's own is there
		}
		if snap != nil {
			b.take(name, snap, failure)
		}
	}
	return b.finish()
}

// join waits until every upstream of the view has answered or failed once.
func (c *Catalog) join(ctx context.Context, v *View, key tableKey, client rpc.Client) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	var pending []<-chan struct{}
	set := c.setOf(v)
	for _, name := range set.members(v) {
		if snap, busy, _ := set.feeds[name][key.list].look(key.audience, client, time.Now()); snap == nil && busy != nil {
			pending = append(pending, busy)
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

func (c *Catalog) members(v *View) []string { return c.setOf(v).members(v) }

func (s *Set) members(v *View) []string {
	if len(v.Upstreams) == 0 {
		return s.order
	}
	return slices.DeleteFunc(slices.Clone(v.Upstreams), func(n string) bool { return s.feeds[n] == nil })
}
