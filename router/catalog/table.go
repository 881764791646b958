package catalog

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
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
	Upstreams []string // in order; empty means all
	Prefix    Prefix
	Single    bool                   // one upstream as it is, nothing renamed
	Allows    func(name string) bool // filters by own or canonical name
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
	absent     []string      // upstreams that have no snapshot
	ttl        time.Duration // how long a client may keep the list
	public     bool
	failure    error // why an absent upstream is absent
}

// entry is one line of a list.
type entry struct{ text json.RawMessage }

type tableKey struct {
	endpoint string
	audience Audience
	era      rpc.Era
}

// table returns the current table of a view, made anew if a snapshot changed. Where
// wait is set it waits, for a bounded time, for upstreams that never answered.
func (c *Catalog) table(ctx context.Context, v *View, client rpc.Client, wait bool) *Table {
	key := tableKey{v.Endpoint, AudienceOf(client), client.Era}
	now := time.Now()
	if t, ok := c.tables.Load(key); ok {
		t := t.(*Table)
		if t.generation == c.generation.Load() && now.Before(t.refresh) && (!wait || len(t.absent) == 0) {
			return t
		}
	}
	t := c.build(ctx, v, client, key, wait)
	c.tables.Store(key, t)
	return t
}

func (c *Catalog) build(ctx context.Context, v *View, client rpc.Client, key tableKey, wait bool) *Table {
	if key.audience == Anybody {
		client = ownClient()
	}
	if wait {
		c.join(ctx, v, key.audience, client)
	}
	b := builder{view: v, era: key.era, count: map[string]int{}, table: &Table{
		generation: c.generation.Load(), targets: map[string]*rpc.Target{}, ttl: time.Hour, public: true,
		refresh: time.Now().Add(time.Hour),
	}}
	for _, name := range c.members(v) {
		snap, _, failure := c.feeds[name].look(key.audience, client, time.Now())
		b.take(name, snap, failure)
	}
	return b.finish()
}

// join waits until every upstream of the view has answered or failed once.
func (c *Catalog) join(ctx context.Context, v *View, a Audience, client rpc.Client) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	var pending []<-chan struct{}
	for _, name := range c.members(v) {
		if snap, busy, _ := c.feeds[name].look(a, client, time.Now()); snap == nil && busy != nil {
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

func (c *Catalog) members(v *View) []string {
	if len(v.Upstreams) == 0 {
		return c.order
	}
	return slices.DeleteFunc(slices.Clone(v.Upstreams), func(n string) bool { return c.feeds[n] == nil })
}

// builder merges snapshots into a table.
type builder struct {
	view  *View
	era   rpc.Era
	table *Table
	found []found
	count map[string]int // how many upstreams have a plain name
}

type found struct {
	upstream string
	tool     *tool
}

func (b *builder) take(upstream string, snap *snapshot, failure error) {
	t := b.table
	if snap == nil {
		t.absent = append(t.absent, upstream)
		if failure != nil {
			t.failure = failure
		}
		return
	}
	t.ttl = min(t.ttl, snap.ttl)
	t.public = t.public && snap.public
	if at := snap.expires; failure == nil && at.Before(t.refresh) {
		// Never at once: a snapshot being renewed must not make each call build a table.
		t.refresh = later(at, time.Now().Add(minTTL))
	}
	for i := range snap.tools {
		tl := &snap.tools[i]
		if b.view.Allows(tl.own) && b.view.Allows(tl.canonical) {
			b.found = append(b.found, found{upstream, tl})
			b.count[Plain(tl.own)]++
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
		target := &rpc.Target{
			Kind: rpc.Tool, Canonical: f.tool.canonical, Upstream: f.upstream, Own: f.tool.own,
			Idempotent: f.tool.idempotent, ParamHeaders: f.tool.headers,
		}
		target.Exposed = b.exposed(f)
		if _, taken := t.targets[target.Exposed]; !taken {
			t.targets[target.Exposed] = target
			t.entries = append(t.entries, entry{f.tool.shown(target.Exposed, b.era)})
		}
	}
	for _, f := range b.found { // after all exposed names: what is shown comes first
		if _, taken := t.targets[f.tool.canonical]; !taken {
			t.targets[f.tool.canonical] = &rpc.Target{
				Kind: rpc.Tool, Exposed: f.tool.canonical, Canonical: f.tool.canonical, Upstream: f.upstream,
				Own: f.tool.own, Idempotent: f.tool.idempotent, ParamHeaders: f.tool.headers,
			}
		}
	}
	if len(t.absent) > 0 {
		t.ttl = min(t.ttl, minTTL) // a partial list must not be kept
	}
	return t
}

// exposed returns the name a tool is shown under.
func (b *builder) exposed(f found) string {
	plain := Plain(f.tool.own)
	switch {
	case b.view.Single:
		return f.tool.own
	case b.view.Prefix == Never, b.view.Prefix == OnCollision && b.count[plain] == 1:
		return plain
	default:
		return f.tool.canonical
	}
}

// Resolve finds the tool that a client means by a name. Where the name is not known
// the error says why: no such tool, or an upstream that is down.
func (c *Catalog) Resolve(ctx context.Context, v *View, client rpc.Client, name string) (*rpc.Target, error) {
	if t, ok := c.table(ctx, v, client, false).targets[name]; ok {
		return t, nil
	}
	table := c.table(ctx, v, client, true)
	if t, ok := table.targets[name]; ok {
		return t, nil
	}
	if v.Single {
		return c.unlisted(v, name)
	}
	for _, upstream := range table.absent {
		if strings.HasPrefix(name, upstream+separator) {
			return nil, down(upstream, table.failure)
		}
	}
	return nil, rpc.Errorf(rpc.InvalidParams, "unknown tool %s%s", rpc.Excerpt(name), table.suggest(name))
}

// unlisted lets a name that its one upstream does not list go there all the same:
// what it says of it is the truth, and names may be new.
func (c *Catalog) unlisted(v *View, name string) (*rpc.Target, error) {
	upstream := v.Upstreams[0]
	if !v.Allows(name) || !c.feeds[upstream].source.Allows(name) {
		return nil, rpc.Errorf(rpc.InvalidParams, "unknown tool %s", rpc.Excerpt(name))
	}
	return &rpc.Target{
		Kind: rpc.Tool, Exposed: name, Canonical: Canonical(upstream, name), Upstream: upstream, Own: name,
	}, nil
}

// suggest names a listed tool that ends like the name, for a client that left the
// upstream out or used another spelling.
func (t *Table) suggest(name string) string {
	for exposed, target := range t.targets {
		if exposed == target.Exposed && (target.Own == name || strings.EqualFold(exposed, name)) {
			return "; did you mean " + rpc.Excerpt(exposed) + "?"
		}
	}
	return ""
}

func down(upstream string, cause error) *rpc.Error {
	e := rpc.Errorf(rpc.UpstreamDown, "upstream %q is not available", upstream)
	if known := rpc.AsError(cause); cause != nil && known.Code != rpc.Internal {
		e.Code, e.Message = known.Code, known.Message
	}
	e.Upstream, e.Cause = upstream, cause
	return e
}
