package route

import (
	"cmp"
	"slices"
	"strings"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Table is the rules of a configuration as calls are compared with them. It never
// changes and may be used by any number of goroutines at once. The zero Table has none.
type Table struct {
	lanes [kinds]lane
	rules int
}

// The kinds of targets that rules are about: tools, prompts, resources, and none for methods that are
// in no table. Tasks are their holder's.
const kinds = int(rpc.Resource) + 1

// lane has the rules that can match calls of one kind.
type lane struct {
	exact map[string][]*Rule // by the one name that they match
	globs []*Rule            // which match more than one name
}

// New compiles rules. It returns nil where none of them concerns a call of the Model
// Context Protocol, so that nobody has to ask. Serves reports whether an upstream is there: one that is switched
// off gets no share of the calls that weights divide.
func New(rules []config.RouteRule, serves func(upstream string) bool) *Table {
	t := &Table{}
	for i := range rules {
		if !rules[i].Match.Models() {
			t.add(newRule(i, &rules[i], serves))
		}
	}
	if t.rules == 0 {
		return nil
	}
	return t
}

// Models is the rules of a configuration that are about models. It never changes and may be used by any number of goroutines at once.
type Models struct{ rules []*Rule }

// NewModels compiles the rules about models. It returns nil where there are none. Serves reports whether a model is there, by any of its names.
func NewModels(rules []config.RouteRule, serves func(model string) bool) *Models {
	m := &Models{}
	for i := range rules {
		if rules[i].Match.Models() {
			m.rules = append(m.rules, newRule(i, &rules[i], serves))
		}
	}
	if len(m.rules) == 0 {
		return nil
	}
	return m
}

// Match returns the first rule that matches a call of which it is known which model it is about; nil if none does. A model is matched by what
// the client calls it and by its own name.
func (m *Models) Match(c *rpc.Call) *Rule {
	if m == nil {
		return nil
	}
	for _, r := range m.rules {
		if r.matches(c, &c.Target) {
			return r
		}
	}
	return nil
}

// add puts a rule into the lanes of the calls that it can match.
func (t *Table) add(r *Rule) {
	t.rules++
	for kind := range t.lanes {
		if !r.concerns(rpc.Kind(kind)) {
			continue
		}
		l := &t.lanes[kind]
		if r.name == "" || strings.ContainsAny(r.name, "*?") {
			l.globs = append(l.globs, r)
			continue
		}
		if l.exact == nil {
			l.exact = map[string][]*Rule{}
		}
		l.exact[r.name] = append(l.exact[r.name], r)
	}
}

// Match returns the first rule that matches a call, nil if none does. It allocates
// nothing unless a condition has to be decided.
func (t *Table) Match(c *rpc.Call, target *rpc.Target) *Rule {
	if int(target.Kind) >= kinds {
		return nil
	}
	l := &t.lanes[target.Kind]
	at := cursor{l.globs, l.exact[target.Canonical], nil}
	if target.Kind == rpc.Resource && target.Own != target.Canonical {
		at[2] = l.exact[target.Own]
	}
	for r := at.next(); r != nil; r = at.next() {
		if r.matches(c, target) {
			return r
		}
	}
	return nil
}

// cursor reads several lists of rules in the order of the configuration.
type cursor [3][]*Rule

func (c *cursor) next() *Rule {
	best := -1
	for i := range c {
		if len(c[i]) > 0 && (best < 0 || c[i][0].order < c[best][0].order) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	r := c[best][0]
	c[best] = c[best][1:]
	return r
}

// verbOf returns the method as which a call is matched: what is completed is matched as if it were used.
func verbOf(c *rpc.Call, kind rpc.Kind) string {
	if kind == rpc.None || kind == rpc.Model {
		return c.Method.Name
	}
	return mcp.VerbOf(kind)
}

// newRule compiles a rule, the i-th one.
func newRule(i int, from *config.RouteRule, serves func(string) bool) *Rule {
	m := &from.Match
	r := &Rule{
		Route: rpc.Route{
			Rule: from.Position.String(), Mirror: from.Mirror, MirrorAll: from.MirrorAll, Fallback: from.Fallback,
			Timeout: from.Timeout, MaxTimeout: from.MaxTimeout,
		},
		order: i, method: m.Method, who: m.Who(), anybody: m.Who() == config.Who{}, when: m.When, to: from.To,
		name: cmp.Or(m.Tool, m.Prompt, m.URI, m.Model), kind: rpc.None,
	}
	switch {
	case m.Tool != "":
		r.kind = rpc.Tool
	case m.Prompt != "":
		r.kind = rpc.Prompt
	case m.URI != "":
		r.kind = rpc.Resource
	case m.Models():
		r.kind = rpc.Model
	}
	for name, value := range m.Header {
		r.headers = append(r.headers, headerOf(name, value))
	}
	slices.SortFunc(r.headers, func(a, b header) int { return strings.Compare(a.name, b.name) })
	for name, weight := range from.Weights {
		r.weighted = r.weighted || weight > 0
		if weight > 0 && serves(name) {
			r.shares = append(r.shares, newShare(name, weight))
		}
	}
	slices.SortFunc(r.shares, func(a, b share) int { return strings.Compare(a.upstream, b.upstream) })
	r.Does = r.describe()
	return r
}
