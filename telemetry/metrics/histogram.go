package metrics

import (
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// bounds are the upper bounds of the buckets, in seconds, that the conventions for MCP advise. One more has no bound.
var bounds = [...]float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}

// limits are the bounds as durations.
var limits = func() (out [len(bounds)]time.Duration) {
	for i, s := range bounds {
		out[i] = time.Duration(math.Round(s * float64(time.Second)))
	}
	return out
}()

// cell is the durations of one series.
type cell struct {
	buckets [len(bounds) + 1]atomic.Uint64 // not cumulative
	sum     atomic.Int64                   // in nanoseconds
}

func (c *cell) observe(d time.Duration) {
	i := 0
	for i < len(limits) && d > limits[i] {
		i++
	}
	c.buckets[i].Add(1)
	c.sum.Add(int64(d))
}

// reading is what was in a cell when somebody looked.
type reading struct {
	count   uint64
	sum     float64
	buckets map[float64]uint64 // cumulative, by upper bound
}

func (c *cell) read() reading {
	r := reading{sum: time.Duration(c.sum.Load()).Seconds(), buckets: make(map[float64]uint64, len(bounds))}
	for i := range c.buckets {
		r.count += c.buckets[i].Load()
		if i < len(bounds) {
			r.buckets[bounds[i]] = r.count
		}
	}
	return r
}

// key is what tells the series of a histogram apart.
type key[K comparable] interface {
	comparable
	// values are those of the definition's labels, in their order.
	values() []string
	// folded is the key without what there may be much of.
	folded() K
}

// seriesLimit bounds the series of one histogram that are told apart by names of tools and prompts. What comes later
// is counted without them. The other labels have few values each.
const seriesLimit = 2000

// histogram is the durations of one instrument, by key. To record one is to look its key up in a map that is never
// written to, which is copied whenever a key is seen for the first time.
type histogram[K key[K]] struct {
	definition *Definition
	cells      atomic.Pointer[map[K]*cell]
	mu         sync.Mutex // of who adds a key
}

func newHistogram[K key[K]](d *Definition) *histogram[K] {
	h := &histogram[K]{definition: d}
	h.cells.Store(&map[K]*cell{})
	return h
}

func (h *histogram[K]) observe(k K, d time.Duration) {
	c, ok := (*h.cells.Load())[k]
	if !ok {
		c = h.add(k)
	}
	c.observe(d)
}

// add makes room for a key that is new, or folds it where there are too many.
func (h *histogram[K]) add(k K) *cell {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := *h.cells.Load()
	if _, ok := old[k]; !ok && len(old) >= seriesLimit {
		k = k.folded()
	}
	if c, ok := old[k]; ok {
		return c
	}
	grown := make(map[K]*cell, len(old)+1)
	maps.Copy(grown, old)
	c := &cell{}
	grown[k] = c
	h.cells.Store(&grown)
	return c
}

// each calls f with all series.
func (h *histogram[K]) each(f func(values []string, r reading)) {
	for k, c := range *h.cells.Load() {
		f(k.values(), c.read())
	}
}
