package pin

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// The kinds of what is pinned, by the member of a result that holds it.
const (
	Tools        = "tools"
	Prompts      = "prompts"
	Instructions = "instructions"
)

// nouns are what one of a kind is called.
var nouns = map[string]string{Tools: "tool", Prompts: "prompt", Instructions: "text"}

// How a definition came to be pinned.
const (
	FirstUse = "first-use" // nobody has looked at it
	Approved = "approved"
)

// Bounds of what is kept.
const (
	maxDefinition = 64 << 10 // bytes of one; of a longer one only the hash is
	maxVariants   = 8        // approved definitions of one name
)

// Pin is a definition that is trusted.
type Pin struct {
	Hash       string          `json:"sha256"`
	Server     string          `json:"server,omitempty"` // what it calls itself
	Trust      string          `json:"trust"`
	At         time.Time       `json:"at"`
	Definition json.RawMessage `json:"definition,omitempty"` // canonical; left out if it is very long
}

// Pins are the definitions that are trusted, by upstream, kind and name. Servers may list different ones to
// clients that can be asked different things, so there may be several; the last is the newest.
type Pins map[string]map[string]map[string][]Pin

// of returns what is trusted under a name.
func (p Pins) of(upstream, kind, name string) []Pin { return p[upstream][kind][name] }

// has reports whether a definition is trusted.
func (p Pins) has(upstream, kind, name, hash string) bool {
	return slices.ContainsFunc(p.of(upstream, kind, name), func(e Pin) bool { return e.Hash == hash })
}

// set trusts one more definition, or says anew how it came to be trusted.
func (p Pins) set(upstream, kind, name string, e Pin) {
	if p[upstream] == nil {
		p[upstream] = map[string]map[string][]Pin{}
	}
	if p[upstream][kind] == nil {
		p[upstream][kind] = map[string][]Pin{}
	}
	others := slices.DeleteFunc(slices.Clone(p.of(upstream, kind, name)), func(o Pin) bool { return o.Hash == e.Hash })
	all := append(others, e)
	p[upstream][kind][name] = all[max(0, len(all)-maxVariants):]
}

// clone returns a copy of the mappings. What is in them is never changed.
func (p Pins) clone() Pins {
	out := make(Pins, len(p))
	for upstream, kinds := range p {
		out[upstream] = make(map[string]map[string][]Pin, len(kinds))
		for kind, names := range kinds {
			out[upstream][kind] = maps.Clone(names)
		}
	}
	return out
}

// What happened to what is pinned.
const (
	New     = "new"
	Changed = "changed"
	Removed = "removed"
)

// Change is something that an upstream lists and nobody has approved, or lists no more.
type Change struct {
	Upstream   string          `json:"upstream"`
	Kind       string          `json:"kind"`
	Name       string          `json:"name"`
	Change     string          `json:"change"`
	Hash       string          `json:"sha256,omitempty"`
	Server     string          `json:"server,omitempty"`
	Definition json.RawMessage `json:"definition,omitempty"`
}

// key tells changes apart.
func (c Change) key() string {
	return strings.Join([]string{c.Upstream, c.Kind, c.Name, c.Hash}, "\x00")
}

// sorted returns changes in order, each once.
func sorted(changes []Change) []Change {
	slices.SortStableFunc(changes, func(a, b Change) int { return strings.Compare(a.key(), b.key()) })
	return slices.CompactFunc(changes, func(a, b Change) bool { return a.key() == b.key() })
}

// Filter chooses among what is pinned or waits; what is empty chooses all.
type Filter struct {
	Upstream, Name string
	Hash           string // its beginning
}

// chooses reports whether a filter lets a definition through.
func (f Filter) chooses(upstream, name, hash string) bool {
	return cmp.Or(f.Upstream, upstream) == upstream && cmp.Or(f.Name, name) == name && strings.HasPrefix(hash, strings.ToLower(f.Hash))
}
