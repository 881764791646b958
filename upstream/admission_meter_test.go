package upstream_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// meter takes a millisecond of a call for a token, and guesses as it is told to.
type meter struct {
	limit atomic.Int64
	guess func(org string, tokens int64) int64

	mu     sync.Mutex
	served []*rpc.Call // in the order in which they began
}

func (m *meter) Limit() int64 { return m.limit.Load() }

func tokensOf(c *rpc.Call) int64 {
	d, _ := time.ParseDuration(c.Target.Own)
	return d.Milliseconds()
}

func (m *meter) Cost(_ context.Context, c *rpc.Call) int64 {
	if m.guess == nil {
		return tokensOf(c)
	}
	return max(1, m.guess(c.Principal.Org, tokensOf(c)))
}

func (*meter) Spent(c *rpc.Call) int64 { return tokensOf(c) }

// before puts an admission with so many slots before a worker.
func (m *meter) before(slots int64) (*upstream.Admission, rpc.Handler) {
	m.limit.Store(slots)
	a := upstream.NewMeteredAdmission("llama", true, config.Queue{Size: 1 << 20, PerTenant: 1 << 18, MaxWait: time.Hour},
		func(*rpc.Principal) config.Priority { return config.Priority{Band: "default", Weight: 1} }, m)
	w := &worker{}
	return a, a.Before(rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		m.mu.Lock()
		m.served = append(m.served, c)
		m.mu.Unlock()
		return w.Handle(ctx, c)
	}))
}

// Ten tenants that all wait get as many tokens each (Jain's index), whatever the length of their calls and however wrong the guesses at it are.
func TestEqualTenantsGetAsManyTokens(t *testing.T) {
	t.Parallel()
	for name, guess := range map[string]func(org string, tokens int64) int64{
		"known": nil,
		"one mean": func(string, int64) int64 {
			return 400
		},
		"far too little or much": func(org string, tokens int64) int64 {
			if org < "tenant5" {
				return tokens / 4
			}
			return tokens * 4
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &meter{guess: guess}
				_, h := m.before(8)
				random := rand.New(rand.NewPCG(5, 11))
				var ends []func() []time.Duration
				for i := range 10 { // of which some have calls that are ten times as long, and a tenth as many
					mean := 100 * (1 + 9*(i%2))
					lengths := make([]time.Duration, 40_000/mean)
					for j := range lengths {
						lengths[j] = time.Duration(mean/2+random.IntN(mean)) * time.Millisecond
					}
					ends = append(ends, crowd(t, h, fmt.Sprint("tenant", i), len(lengths), func(i int) time.Duration { return lengths[i] }))
				}
				for _, end := range ends {
					end()
				}
				got := map[string]float64{}
				served := int64(0)
				for _, c := range m.served {
					if served += tokensOf(c); served > 200_000 { // half of them: all still wait
						break
					}
					got[c.Principal.Org] += float64(tokensOf(c))
				}
				var sum, squares float64
				for _, n := range got {
					sum += n
					squares += n * n
				}
				index := sum * sum / (float64(len(got)) * squares)
				t.Logf("Jain's index is %.4f", index)
				if len(got) != 10 || index < 0.98 {
					t.Errorf("Jain's index is %.3f: %v", index, got)
				}
			})
		})
	}
}

// Where fewer calls may run than before those that do go on, and nobody gets a slot until there are few enough; where more may, who waits gets
// one as soon as anything happens.
func TestTheLimitOfAModelChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &meter{}
		a, h := m.before(4)
		first := crowd(t, h, "a", 4, func(i int) time.Duration { return time.Duration(1+i) * time.Second })
		synctest.Wait()
		m.limit.Store(1)
		second := crowd(t, h, "b", 6, always(10*time.Second))
		for _, want := range []int{4, 3, 2, 1} {
			synctest.Wait()
			if s := a.Status(); s.InFlight != want || s.Waiting != 6 {
				t.Fatalf("%d run and %d wait, want %d and 6", s.InFlight, s.Waiting, want)
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if s := a.Status(); s.InFlight != 1 || s.Waiting != 5 {
			t.Fatalf("%d run and %d wait, want 1 and 5", s.InFlight, s.Waiting)
		}
		m.limit.Store(4)
		third := crowd(t, h, "c", 1, always(time.Second))
		synctest.Wait()
		if s := a.Status(); s.InFlight != 4 || s.Waiting != 3 || s.Limit != 4 {
			t.Fatalf("%d run and %d wait, want 4 and 3", s.InFlight, s.Waiting)
		}
		first()
		second()
		third()
	})
}

func TestACallerIsToldItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &meter{}
		a, h := m.before(1)
		place := func(org string) int { return a.Place(&rpc.Principal{Org: org}) }
		if got := place("a"); got != 0 {
			t.Errorf("place %d in an empty queue", got)
		}
		var ends []func() []time.Duration
		for _, org := range []string{"a", "b", "b", "c", "b"} {
			ends = append(ends, crowd(t, h, org, 1, always(time.Second)))
			synctest.Wait()
		}
		for seconds, want := range []map[string]int{{"a": 0, "b": 2, "c": 2}, {"b": 2, "c": 2}, {"b": 1, "c": 0}, {"b": 1}, {"b": 0}} {
			for org, n := range want {
				if got := place(org); got != n {
					t.Errorf("after %d s %s has place %d, want %d", seconds, org, got, n)
				}
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		for _, end := range ends {
			end()
		}
	})
}
