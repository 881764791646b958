package upstream_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/config"
)

func median(all []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(all))[len(all)/2]
}

// A tenant with few short calls waits hardly longer behind another one's thousand long ones than behind those that run.
func TestFewShortCallsAreNotHeldUpByManyLongOnes(t *testing.T) {
	t.Parallel()
	const slots = 8
	for _, long := range []time.Duration{20 * time.Millisecond, 200 * time.Millisecond, 5 * time.Second} {
		t.Run(long.String(), func(t *testing.T) {
			t.Parallel()
			wait := func(queued int) (out time.Duration) {
				synctest.Test(t, func(t *testing.T) {
					random := rand.New(rand.NewPCG(1, 2))
					lengths := make([]time.Duration, slots+queued)
					for i := range lengths {
						lengths[i] = long/2 + time.Duration(random.Int64N(int64(long)))
					}
					h := admission(slots).Before(&worker{})
					others := crowd(t, h, "many", len(lengths), func(i int) time.Duration { return lengths[i] })
					time.Sleep(10 * long) // they have long been at it
					if queued == 0 {
						others()
						others = crowd(t, h, "many", slots, func(i int) time.Duration { return lengths[i] })
						time.Sleep(long / 4)
					}
					synctest.Wait()
					out = median(crowd(t, h, "few", 10, always(10*time.Millisecond))())
					others()
				})
				return out
			}
			alone, among := wait(0), wait(1000)
			t.Logf("alone %v, among a thousand %v", alone, among)
			if among > 2*alone {
				t.Errorf("the median call waited %v, and %v where nobody else waits", among, alone)
			}
		})
	}
}

// Tenants that wait all the time are served by their weights, however many slots there are.
func TestWeightsAreKept(t *testing.T) {
	t.Parallel()
	for _, slots := range []int{1, 3, 8} {
		t.Run(fmt.Sprint(slots), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &worker{}
				h := admission(slots, config.Priority{Who: config.Who{Org: "heavy"}, Band: "default", Weight: 3}).Before(w)
				random := rand.New(rand.NewPCG(7, uint64(slots)))
				lengths := make([]time.Duration, 900)
				for i := range lengths {
					lengths[i] = time.Duration(50+random.IntN(100)) * time.Millisecond
				}
				took := func(i int) time.Duration { return lengths[i] }
				light, heavy := crowd(t, h, "light", 600, took), crowd(t, h, "heavy", 900, took)
				light()
				heavy()
				got := w.count(800)
				ratio := float64(got["heavy"]) / float64(got["light"])
				if ratio < 3*0.95 || ratio > 3*1.05 {
					t.Errorf("served %v, which is %.2f to 1", got, ratio)
				}
			})
		})
	}
}

// Ten tenants that all wait are served alike (Jain's index), and alike in time where one has longer calls.
func TestEqualTenantsAreServedAlike(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &worker{}
		h := admission(8).Before(w)
		random := rand.New(rand.NewPCG(3, 9))
		var ends []func() []time.Duration
		for i := range 10 {
			lengths := make([]time.Duration, 200)
			for j := range lengths {
				lengths[j] = time.Duration(10+random.IntN(190)) * time.Millisecond
			}
			ends = append(ends, crowd(t, h, fmt.Sprint("tenant", i), 200, func(i int) time.Duration { return lengths[i] }))
		}
		for _, end := range ends {
			end()
		}
		var sum, squares float64
		got := w.count(1000)
		for _, n := range got {
			sum += float64(n)
			squares += float64(n) * float64(n)
		}
		if index := sum * sum / (float64(len(got)) * squares); len(got) != 10 || index < 0.98 || math.IsNaN(index) {
			t.Errorf("Jain's index is %.3f: %v", index, got)
		}
	})
}

// A tenant whose calls are ten times as long holds as many slots as the others, not ten times as many.
func TestLongCallsCostMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &worker{}
		h := admission(8).Before(w)
		short, long := crowd(t, h, "short", 2000, always(10*time.Millisecond)), crowd(t, h, "long", 400, always(100*time.Millisecond))
		short()
		got := w.count(1100)
		long()
		if got["short"] < 900 || got["short"] > 1050 {
			t.Errorf("served %v, where ten short ones cost as much as a long one", got)
		}
	})
}

// Higher bands come first, and each of the lower ones gets one slot in ten all the same.
func TestBandsComeInOrderAndNoneStarves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &worker{}
		h := admission(4,
			config.Priority{Who: config.Who{Org: "interactive"}, Band: "interactive", Weight: 1},
			config.Priority{Who: config.Who{Org: "batch"}, Band: "batch", Weight: 100},
		).Before(w)
		var ends []func() []time.Duration
		for _, org := range []string{"batch", "default", "interactive"} {
			ends = append(ends, crowd(t, h, org, 500, always(50*time.Millisecond)))
			synctest.Wait()
		}
		for _, end := range ends {
			end()
		}
		got := w.count(504)
		got["batch"] -= 4 // they were there first
		for org, want := range map[string]int{"interactive": 400, "default": 50, "batch": 50} {
			if n := got[org]; n < want-2 || n > want+2 {
				t.Errorf("%s got %d of 500 slots, not %d", org, n, want)
			}
		}
	})
}
