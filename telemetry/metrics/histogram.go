package metrics

import (
	"math"
	"sync/atomic"
	"time"
)

// bounds is how many upper bounds the buckets of a histogram have. One more has none.
const bounds = 14

// scale is the upper bounds of the buckets, in seconds and as durations.
type scale struct {
	seconds [bounds]float64
	limits  [bounds]time.Duration
}

func scaleOf(seconds [bounds]float64) *scale {
	s := &scale{seconds: seconds}
	for i, n := range seconds {
		s.limits[i] = time.Duration(math.Round(n * float64(time.Second)))
	}
	return s
}

// The scales that the conventions for MCP and for generative models advise.
var (
	ofTools  = scaleOf([bounds]float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300})
	ofModels = scaleOf([bounds]float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92})
)

// durations is one series of a histogram.
type durations struct {
	buckets [bounds + 1]atomic.Uint64 // not cumulative
	sum     atomic.Int64              // in nanoseconds
}

func (c *durations) observe(s *scale, d time.Duration) {
	i := 0
	for i < bounds && d > s.limits[i] {
		i++
	}
	c.buckets[i].Add(1)
	c.sum.Add(int64(d))
}

// add takes what was counted elsewhere on the same scale.
func (c *durations) add(counts *[bounds + 1]int64, sum time.Duration) {
	for i, n := range counts {
		c.buckets[i].Add(uint64(max(0, n)))
	}
	c.sum.Add(int64(sum))
}

// reading is what was in a series when somebody looked.
type reading struct {
	count   uint64
	sum     float64
	buckets map[float64]uint64 // cumulative, by upper bound
}

func (c *durations) read(s *scale) reading {
	r := reading{sum: time.Duration(c.sum.Load()).Seconds(), buckets: make(map[float64]uint64, bounds)}
	for i := range c.buckets {
		r.count += c.buckets[i].Load()
		if i < bounds {
			r.buckets[s.seconds[i]] = r.count
		}
	}
	return r
}

// histogram is an instrument for durations.
type histogram[K key[K]] struct {
	family[K, durations]
	scale *scale
}

func newHistogram[K key[K]](d *Definition, s *scale) *histogram[K] {
	h := &histogram[K]{scale: s}
	h.init(d)
	return h
}

func (h *histogram[K]) observe(k K, d time.Duration) { h.series(k).observe(h.scale, d) }

func (h *histogram[K]) samples(s *Sink) {
	h.each(func(values []string, d *durations) { s.distribution(h.definition, values, d.read(h.scale)) })
}

// counts is an instrument for events.
type counts[K key[K]] struct{ family[K, atomic.Uint64] }

func newCounts[K key[K]](d *Definition) *counts[K] {
	c := &counts[K]{}
	c.init(d)
	return c
}

func (c *counts[K]) add(k K, n uint64) { c.series(k).Add(n) }

// samples shows what was counted. A label without a value is left out, as OpenTelemetry does.
func (c *counts[K]) samples(s *Sink) {
	c.each(func(values []string, n *atomic.Uint64) { s.count(c.definition, values, float64(n.Load())) })
}
