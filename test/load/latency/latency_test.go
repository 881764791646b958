package latency_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/headgate/headgate/test/load/latency"
)

func TestSmallDurationsAreExact(t *testing.T) {
	t.Parallel()
	var h latency.Histogram
	for d := range 100 {
		h.Record(time.Duration(d + 1))
	}
	for q, want := range map[float64]time.Duration{-1: 1, 0: 1, 0.001: 1, 0.01: 1, 0.011: 2, 0.07: 7, 0.5: 50, 0.505: 51, 0.99: 99, 0.991: 100, 1: 100, 2: 100} {
		if got := h.Quantile(q); got != want {
			t.Errorf("Quantile(%v) = %d, want %d", q, got, want)
		}
	}
}

func TestQuantilesAreWithinOnePercentOfSorting(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 2, 3, 100, 9999} {
		var h latency.Histogram
		all := make([]time.Duration, size)
		for i := range all {
			all[i] = time.Duration(random.ExpFloat64() * float64(time.Millisecond))
			h.Record(all[i])
		}
		slices.Sort(all)
		for _, q := range []float64{0.5, 0.9, 0.99, 1} {
			rank := int(q * float64(size))
			if float64(rank) < q*float64(size) {
				rank++
			}
			want := all[rank-1]
			if got := h.Quantile(q); got < want || float64(got) > float64(want)*1.01 {
				t.Errorf("%d durations: Quantile(%v) = %v, want %v", size, q, got, want)
			}
		}
	}
}

func TestMergeIsRecordingBoth(t *testing.T) {
	t.Parallel()
	var a, b, both latency.Histogram
	for i := range 1000 {
		d := time.Duration(i*i) * time.Microsecond
		both.Record(d)
		if i%3 == 0 {
			a.Record(d)
		} else {
			b.Record(d)
		}
	}
	a.Merge(&b)
	if a != both {
		t.Error("merged histogram differs from one that recorded everything")
	}
	if a.Count() != 1000 || a.Max() != 999*999*time.Microsecond {
		t.Errorf("count %d, max %v", a.Count(), a.Max())
	}
}

func TestExtremes(t *testing.T) {
	t.Parallel()
	var h latency.Histogram
	if h.Quantile(0.5) != 0 || h.Max() != 0 || h.Count() != 0 {
		t.Error("an empty histogram is not empty")
	}
	const longest = time.Duration(1<<63 - 1)
	h.Record(-time.Second)
	h.Record(longest)
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("a negative duration counts as %v", got)
	}
	if got := h.Quantile(1); got != longest {
		t.Errorf("the longest duration counts as %v", got)
	}
}
