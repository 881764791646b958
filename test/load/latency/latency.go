// Package latency counts durations and says their quantiles, in constant memory and without a lock.
//
// It is for the load generator, which keeps one Histogram per connection and merges them. It is no metric: nothing
// scrapes it and nothing resets it.
package latency

import (
	"math"
	"math/bits"
	"time"
)

// subBits is the number of bits kept below the leading one: 1/128 is the largest relative error, 0.8 %.
const subBits = 7

const buckets = (64 - subBits) << subBits

// Histogram is a count of durations by size: exact below 128 ns, and within 0.8 % above. The zero value is empty. It is not
// safe for concurrent use.
type Histogram struct {
	counts [buckets]uint64
	total  uint64
	max    time.Duration
}

// Record counts one duration; a negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.total }

// Max returns the longest duration, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile returns the duration that the fraction q of all durations does not exceed (nearest rank), rounded up to its
// bucket's end but never above Max. It returns zero when nothing was recorded; q is taken between 0 and 1.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	const rounding = 1e-9 // 0.07 of 100 is the 7th, though the product is a little over 7
	rank := uint64(math.Ceil(min(max(q, 0), 1)*float64(h.total) - rounding))
	rank = min(max(rank, 1), h.total)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(time.Duration(last(i)), h.max)
		}
	}
	return h.max
}

// bucket returns the bucket of a value: below 128 one bucket a value, then 128 buckets for each power of two.
func bucket(value uint64) int {
	if value < 1<<subBits {
		return int(value)
	}
	shift := bits.Len64(value) - 1 - subBits
	return (shift+1)<<subBits | int(value>>shift)&(1<<subBits-1)
}

// last returns the largest value of a bucket.
func last(bucket int) uint64 {
	if bucket < 1<<subBits {
		return uint64(bucket)
	}
	shift := bucket>>subBits - 1
	first := (1<<subBits | uint64(bucket)&(1<<subBits-1)) << shift
	return first + 1<<shift - 1
}
