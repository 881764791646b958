package metrics

import (
	"math"
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

// durations is one series of a histogram.
type durations struct {
	buckets [len(bounds) + 1]atomic.Uint64 // not cumulative
	sum     atomic.Int64                   // in nanoseconds
}

func (c *durations) observe(d time.Duration) {
	i := 0
	for i < len(limits) && d > limits[i] {
		i++
	}
	c.buckets[i].Add(1)
	c.sum.Add(int64(d))
}

// reading is what was in a series when somebody looked.
type reading struct {
	count   uint64
	sum     float64
	buckets map[float64]uint64 // cumulative, by upper bound
}

func (c *durations) read() reading {
	r := reading{sum: time.Duration(c.sum.Load()).Seconds(), buckets: make(map[float64]uint64, len(bounds))}
	for i := range c.buckets {
		r.count += c.buckets[i].Load()
		if i < len(bounds) {
			r.buckets[bounds[i]] = r.count
		}
	}
	return r
}

// histogram is an instrument for durations.
type histogram[K key[K]] struct{ family[K, durations] }

func newHistogram[K key[K]](d *Definition) *histogram[K] {
	h := &histogram[K]{}
	h.init(d)
	return h
}

func (h *histogram[K]) observe(k K, d time.Duration) { h.series(k).observe(d) }

func (h *histogram[K]) samples(s *Sink) {
	h.each(func(values []string, d *durations) { s.distribution(h.definition, values, d.read()) })
}

// counts is an instrument for events.
type counts[K key[K]] struct{ family[K, atomic.Uint64] }

func newCounts[K key[K]](d *Definition) *counts[K] {
	c := &counts[K]{}
	c.init(d)
	return c
}

func (c *counts[K]) add(k K) { c.series(k).Add(1) }

func (c *counts[K]) samples(s *Sink) {
	c.each(func(values []string, n *atomic.Uint64) { s.Set(c.definition, float64(n.Load()), values...) })
}
