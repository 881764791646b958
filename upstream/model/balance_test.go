package model_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream/model"
)

// traffic is calls as they come to several backends, of which the first is ten times slower than the others.
type traffic struct {
	calls int
	load  float64 // of what the backends can do together
}

// outcome is what came of it.
type outcome struct {
	counts []int64         // calls by backend
	ttft   []time.Duration // sorted
	failed int
}

func (o outcome) at(q float64) time.Duration { return o.ttft[int(q*float64(len(o.ttft)-1))] }

const (
	fastFirst = 50 * time.Millisecond
	fastToken = 10 * time.Millisecond
	slots     = 8
)

// run sends the calls to where choose says, with random pauses between them.
func (tr traffic) run(t *testing.T, of troupe, choose func(i int) *model.Pool) outcome {
	t.Helper()
	random := rand.New(rand.NewPCG(3, 4))
	const tokens = 32
	each := fastFirst + (tokens-1)*fastToken
	rate := tr.load * (float64(len(of)-1) + 0.1) * slots / each.Seconds()
	var all sync.WaitGroup
	var mu sync.Mutex
	var out outcome
	for i := range tr.calls {
		time.Sleep(time.Duration(random.ExpFloat64() / rate * float64(time.Second)))
		c := invoke(t, fmt.Sprintf(`{"model":"big","stream":true,"max_tokens":%d,"prompt":"call %d"}`, tokens, i))
		all.Go(func() {
			began := time.Now()
			reply, err := choose(i).Handle(t.Context(), c)
			if err == nil {
				_, err = reply.Next()
				ttft := time.Since(began)
				mu.Lock()
				out.ttft = append(out.ttft, ttft)
				mu.Unlock()
				for err == nil {
					_, err = reply.Next()
				}
				_ = reply.Close()
			}
			if !rpc.IsEnd(err) {
				mu.Lock()
				out.failed++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(out.ttft)
	for _, p := range of {
		out.counts = append(out.counts, p.calls.Load())
	}
	return out
}

// speeds makes a troupe of which the first is ten times slower than the others.
func speeds(n int) troupe {
	of := newTroupe(n, answersIn(fastFirst, 32, fastToken))
	of[0].plan = answersIn(10*fastFirst, 32, 10*fastToken)
	return of
}

// Of four backends one is ten times slower. By power of two on the expected wait it gets at most a quarter of its equal share, which round robin gives
// it whole; the table shows what that means for who waits.
func TestASlowBackendGetsLessThanItsShare(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	fmt.Fprintf(&table, "%-14s %-20s %8s %10s %10s %10s %8s\n", "load", "choice", "slow one", "share", "median", "p99", "failed")
	for _, load := range []float64{0.3, 0.8} {
		tr := traffic{calls: 400, load: load}
		relaxed := func(m *config.Model) {
			m.WarmUp.At, m.Queue.MaxWait = "never", time.Hour
			m.Deadlines.FirstToken = time.Hour
		}
		var two, robin outcome
		synctest.Test(t, func(t *testing.T) {
			of := speeds(4)
			p := newPool(t, of, modelOf(of, slots, relaxed))
			defer p.Close() //nolint:errcheck // nothing could fail
			two = tr.run(t, of, func(int) *model.Pool { return p })
		})
		synctest.Test(t, func(t *testing.T) {
			of := speeds(4)
			pools := make([]*model.Pool, len(of))
			for i := range of {
				pools[i] = newPool(t, of, modelOf(of[i:i+1], slots, relaxed))
				defer pools[i].Close() //nolint:errcheck // nothing could fail
			}
			robin = tr.run(t, of, func(i int) *model.Pool { return pools[i%len(pools)] })
		})
		for name, o := range map[string]outcome{"power of two": two, "round robin": robin} {
			fmt.Fprintf(&table, "%-14s %-20s %8d %9.1f%% %10v %10v %8d\n", fmt.Sprintf("%.0f%%", 100*load), name, o.counts[0],
				100*float64(o.counts[0])/float64(tr.calls), o.at(0.5).Round(time.Millisecond), o.at(0.99).Round(time.Millisecond), o.failed)
			if o.failed > 0 {
				t.Errorf("%s: %d calls failed", name, o.failed)
			}
		}
		if equal := int64(tr.calls / 4); two.counts[0] > equal/4 {
			t.Errorf("at a load of %v the slow backend got %d of %d calls, and a quarter of its equal share is %d", load, two.counts[0], tr.calls, equal/4)
		}
	}
	t.Logf("four backends, one of them ten times slower:\n%s", table.String())
}

// Conversations that grow find what was computed of them before: at least nine in ten of the turns that could.
func TestConversationsStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	for name, system := range map[string]string{
		"nothing in common":       "",
		"one beginning in common": strings.Repeat("You are a helpful assistant. ", 60),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				of := newTroupe(4, answersIn(fastFirst, 32, fastToken))
				p := newPool(t, of, modelOf(of, slots, nil))
				defer p.Close() //nolint:errcheck // nothing could fail
				random := rand.New(rand.NewPCG(5, 6))
				var mu sync.Mutex
				hits, turns := 0, 0
				var all sync.WaitGroup
				for i := range 50 {
					first := time.Duration(random.Int64N(int64(10 * time.Second)))
					pause := time.Duration(1+random.Int64N(2)) * time.Second
					all.Go(func() {
						time.Sleep(first)
						prompt := system + fmt.Sprintf("Conversation %d. ", i) + strings.Repeat(fmt.Sprint("topic ", i, " "), 130)
						last := ""
						for turn := range 8 {
							if _, err := finished(t.Context(), p, invoke(t, fmt.Sprintf(`{"model":"big","stream":true,"max_tokens":32,"prompt":%q}`, prompt))); err != nil {
								t.Error(err)
							}
							at := of.sawLast(prompt)
							mu.Lock()
							if turn > 0 {
								turns++
								if at == last {
									hits++
								}
							}
							mu.Unlock()
							last = at
							prompt += strings.Repeat(fmt.Sprint("turn ", turn, " of ", i, " "), 30)
							time.Sleep(pause)
						}
					})
				}
				all.Wait()
				rate := float64(hits) / float64(turns)
				var counts []int64
				for _, b := range of {
					counts = append(counts, b.calls.Load())
				}
				t.Logf("%d of %d turns stayed (%.1f%%); calls by backend: %v", hits, turns, 100*rate, counts)
				if rate < 0.9 {
					t.Errorf("%.1f%% of the turns stayed", 100*rate)
				}
				if system == "" && slices.Max(counts) > 3*slices.Min(counts) {
					t.Errorf("calls by backend: %v", counts)
				}
			})
		})
	}
}

// sawLast returns which backend has seen a prompt.
func (t troupe) sawLast(prompt string) string {
	for _, p := range t {
		p.mu.Lock()
		found := slices.Contains(p.seen, prompt)
		p.mu.Unlock()
		if found {
			return p.name
		}
	}
	return ""
}

// However many calls have the same beginning, no backend gets much more than its part of the tokens.
func TestOneBeginningDoesNotFillOneBackend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(4, answersIn(time.Minute, 2, time.Minute))
		p := newPool(t, of, modelOf(of, 64, func(m *config.Model) {
			m.Deadlines = config.Deadlines{FirstToken: time.Hour, BetweenTokens: time.Hour, Total: time.Hour}
		}))
		defer p.Close() //nolint:errcheck // nothing could fail
		var all sync.WaitGroup
		prompt := strings.Repeat("the same ", 500)
		for n := range 100 {
			all.Go(func() { _, _ = finished(t.Context(), p, streamed(t, prompt)) })
			synctest.Wait()
			for _, b := range of {
				if most := 1.25*float64(n+1)/4 + 2; float64(b.flying.Load()) > most {
					t.Fatalf("of %d calls one backend has %d", n+1, b.flying.Load())
				}
			}
		}
		all.Wait()
	})
}

// Short prompts, and those of models without affinity, go where there is least to do.
func TestShortPromptsHaveNoHome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int{100, 5000} {
			of := newTroupe(4, answersIn(time.Second, 1, 0))
			p := newPool(t, of, modelOf(of, 0, func(m *config.Model) {
				if size > 1000 {
					m.PrefixAffinity = 0
				}
			}))
			for range 40 { // one after another: nothing is busy
				if _, err := finished(t.Context(), p, streamed(t, strings.Repeat("x", size))); err != nil {
					t.Fatal(err)
				}
			}
			for i, b := range of {
				if n := b.calls.Load(); n == 0 || n > 25 {
					t.Errorf("%d bytes: backend %d got %d of 40 calls", size, i, n)
				}
			}
			_ = p.Close()
		}
	})
}

// Where it is configured calls follow the weights.
func TestWeightedBackends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(2, answersIn(time.Second, 1, 0))
		cfg := modelOf(of, 0, func(m *config.Model) { m.Balance = "weighted" })
		cfg.Backends[0].Weight = 9
		p := newPool(t, of, cfg)
		defer p.Close() //nolint:errcheck // nothing could fail
		for range 1000 {
			if _, err := finished(t.Context(), p, unary(t, "x")); err != nil {
				t.Fatal(err)
			}
		}
		if n := of[1].calls.Load(); n < 70 || n > 130 {
			t.Errorf("%d of 1000 calls went to a tenth of the weight", n)
		}
	})
}

// Ten tenants that always have calls waiting get as many tokens each (Jain's index), though some ask for long answers and some for short ones, and
// nobody says how long.
func TestEqualTenantsGetAsManyTokensOfAModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const tenants, each = 10, 4000 // tokens
		long := func(org string) int { return 8 << (org[len(org)-1] % 4) }
		of := newTroupe(4, func(c *rpc.Call) plan {
			return plan{first: 20 * time.Millisecond, chunks: long(c.Principal.Org), every: 5 * time.Millisecond}
		})
		p := newPool(t, of, modelOf(of, 2, func(m *config.Model) { m.WarmUp.At, m.Queue.MaxWait, m.Queue.PerTenant = "never", 24*time.Hour, 1<<16 }))
		defer p.Close() //nolint:errcheck // nothing could fail
		var all sync.WaitGroup
		var mu sync.Mutex
		var served []rpc.Usage
		var whose []string
		for i := range tenants {
			org := fmt.Sprint("org", i)
			for range each / (long(org) + 4) {
				c := streamed(t, "x")
				c.Principal.Org = org
				all.Go(func() {
					if _, err := finished(t.Context(), p, c); err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					served, whose = append(served, c.Record.Usage()), append(whose, org)
				})
			}
		}
		all.Wait()
		got := map[string]float64{}
		total := int64(0)
		for i, u := range served {
			if total += u.Input + u.Output; total > tenants*each/2 { // half of them: all still wait
				break
			}
			got[whose[i]] += float64(u.Input + u.Output)
		}
		var sum, squares float64
		for _, n := range got {
			sum += n
			squares += n * n
		}
		index := sum * sum / (tenants * squares)
		t.Logf("Jain's index is %.4f over %d tokens", index, int64(sum))
		if len(got) != tenants || index < 0.98 {
			t.Errorf("Jain's index is %.4f: %v", index, got)
		}
	})
}

// What begins alike does not stay at a backend that is slow, once that is known.
func TestASlowBackendIsNoHome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := speeds(4)
		p := newPool(t, of, modelOf(of, slots, func(m *config.Model) { m.WarmUp.At = "never" }))
		defer p.Close() //nolint:errcheck // nothing could fail
		const calls = 400
		for i := range calls {
			prompt := fmt.Sprintf("Conversation %d. ", i%40) + strings.Repeat(fmt.Sprint("topic ", i%40, " "), 130)
			if _, err := finished(t.Context(), p, streamed(t, prompt)); err != nil {
				t.Fatal(err)
			}
		}
		if n := of[0].calls.Load(); n > calls/4/4 {
			t.Errorf("it got %d of %d calls", n, calls)
		}
	})
}
