package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// key is what tells the series of an instrument apart.
type key[K comparable] interface {
	comparable
	// values are those of the definition's labels, in their order.
	values() []string
	// folded is the key without what there may be much of.
	folded() K
}

// seriesLimit bounds the series of one instrument that are told apart by names of tools and prompts. What comes later
// is counted without them. The other labels have few values each.
const seriesLimit = 2000

// family is the series of an instrument, by key. To find one is to look its key up in a map that is never written to,
// which is copied whenever a key is seen for the first time.
type family[K key[K], V any] struct {
	definition *Definition
	known      atomic.Pointer[map[K]*V]
	mu         sync.Mutex // of who adds a key
}

func (f *family[K, V]) init(d *Definition) {
	f.definition = d
	f.known.Store(&map[K]*V{})
}

// series returns the series of a key.
func (f *family[K, V]) series(k K) *V {
	known := *f.known.Load()
	if v, ok := known[k]; ok {
		return v
	}
	if len(known) >= seriesLimit {
		k = k.folded()
		if v, ok := known[k]; ok {
			return v
		}
	}
	return f.add(k)
}

// add makes room for a key that is new.
func (f *family[K, V]) add(k K) *V {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := *f.known.Load()
	if v, ok := old[k]; ok {
		return v
	}
	grown := make(map[K]*V, len(old)+1)
	maps.Copy(grown, old)
	v := new(V)
	grown[k] = v
	f.known.Store(&grown)
	return v
}

// each calls f with all series.
func (f *family[K, V]) each(visit func(values []string, v *V)) {
	for k, v := range *f.known.Load() {
		visit(k.values(), v)
	}
}
