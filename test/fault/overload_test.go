package fault

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/test/fake"
	"github.com/headgate/headgate/test/fake/rawjson"
)

// bench is an upstream that works at so many calls at a time, each of which takes as long as it says.
type bench struct {
	places     chan struct{}
	came, most atomic.Int64 // calls that are there, and most of them at a time
	mu         sync.Mutex
	began      []string // who began, in order
	*httptest.Server
}

func startBench(t *testing.T, places int) *bench {
	t.Helper()
	b := &bench{places: make(chan struct{}, places)}
	f := fake.New(fake.Config{Name: "bench", Eras: fake.Modern, TTL: time.Hour, Tools: []fake.Tool{{Name: "work", Behaviour: b.work}}})
	b.Server = httptest.NewServer(f)
	t.Cleanup(func() { f.Close(); b.CloseClientConnections(); b.Close() })
	return b
}

// work takes a place for as long as the call says.
func (b *bench) work(ctx context.Context, c *fake.Call) ([]byte, error) {
	n := b.came.Add(1)
	defer b.came.Add(-1)
	for most := b.most.Load(); n > most && !b.most.CompareAndSwap(most, n); most = b.most.Load() {
	}
	b.places <- struct{}{}
	defer func() { <-b.places }()
	who := strings.Trim(string(rawjson.Member(c.Arguments, "who")), `"`)
	b.mu.Lock()
	b.began = append(b.began, who)
	b.mu.Unlock()
	ms, err := strconv.ParseFloat(string(rawjson.Member(c.Arguments, "ms")), 64)
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(time.Duration(ms * float64(time.Millisecond))):
	case <-ctx.Done():
	}
	return fake.Echo(ctx, c)
}

// beginnings returns who began, from the nth on.
func (b *bench) beginnings(from int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.began[from:]...)
}

func work(who string, ms float64) string { return fmt.Sprintf(`{"who":%q,"ms":%v}`, who, ms) }

// tenants are keys of organisations of the same name.
func tenants(names ...string) string {
	var keys []string
	for _, name := range names {
		keys = append(keys, fmt.Sprintf("{id: %s, key: %s, org: %s, scopes: ['mcp:*']}", name, keyOf(name), name))
	}
	return "auth: {keys: [" + strings.Join(keys, ", ") + "]}\n"
}

func keyOf(name string) string { return name + "-0123456789abcdef" }

const (
	places   = 8  // of the upstream
	workTime = 25 // milliseconds: 320 calls a second
)

// TestF13_Overload offers ten times what an upstream can do. It must go on doing what it can, who is refused must hear of it
// at once, and who comes first must hardly notice.
func TestF13_Overload(t *testing.T) {
	leakless(t)
	rate, length := times(1600, 3200), time.Duration(times(1, 30))*time.Second
	row := &Row{
		ID: "F13", What: "Overload: ten times what an upstream can do: goodput ≥ 90 % of peak, memory below GOMEMLIMIT, who comes first p99 ≤ 2×, recovery ≤ 2 s",
		Count: fmt.Sprintf("upstream of %d calls/s, %d/s offered for %v", places*1000/workTime, rate, length),
	}
	enter(t, row)
	b := startBench(t, places)
	const limit = 256 << 20
	g := spawn(t, tenants("bulk", "crowd", "vip")+"priorities: [{who: {org: vip}, band: interactive}]\nupstreams:\n"+
		upstreamEntry("bench", "modern", b.URL, nil, fmt.Sprintf("max_in_flight: %d", places), "queue: {size: 64, max_wait: 5s}"),
		fmt.Sprintf("GOMEMLIMIT=%d", limit*memoryOfRaces))
	of := func(n int, who string) []*line { return lines(n, g, keyOf(who), "bench__work", work(who, workTime)) }

	sorted(t, keep(t.Context(), 2, of(places, "bulk"))) // warm
	ctx, cancel := context.WithTimeout(t.Context(), length/3)
	defer cancel()
	began := time.Now()
	served, _ := sorted(t, keep(ctx, 1<<30, of(2*places, "bulk")))
	peak := float64(len(served)) / time.Since(began).Seconds()
	alone, _ := sorted(t, keep(t.Context(), times(20, 400), of(1, "vip")))

	ctx, cancel = context.WithTimeout(t.Context(), length)
	defer cancel()
	var vip []outcome
	var beside sync.WaitGroup
	beside.Go(func() { vip = keep(ctx, 1<<30, of(1, "vip")) })
	began = time.Now()
	all := offer(ctx, rate, append(of(96, "bulk"), of(96, "crowd")...))
	elapsed := time.Since(began)
	beside.Wait()
	memory := g.memory(t, "VmHWM")
	began = time.Now()
	if after, _ := sorted(t, keep(t.Context(), 1, of(1, "bulk"))); len(after) != 1 {
		t.Error("after the flood a call is refused")
	}
	recovery := time.Since(began)

	served, refused := sorted(t, all)
	first, turnedAway := sorted(t, vip)
	goodput := float64(len(served)+len(first)) / elapsed.Seconds()
	row.Figures = fmt.Sprintf("%.0f/s made, %.0f/s served of %.0f/s at peak (%.0f %%); refused after %v at the median, p99 %v; who comes first p99 %v, %v alone; "+
		"%d MiB of %d; served again %v after", float64(len(all))/elapsed.Seconds(), goodput, peak, 100*goodput/peak, quantile(refused, 0.5), quantile(refused, 0.99),
		quantile(first, 0.99), quantile(alone, 0.99), memory>>20, limit>>20, recovery.Round(time.Millisecond))
	if len(refused) == 0 || len(served) == 0 || len(first) == 0 || len(turnedAway) > 0 || b.most.Load() > places {
		t.Errorf("%d served, %d refused; of who comes first %d and %d; at most %d at a time", len(served), len(refused), len(first), len(turnedAway), b.most.Load())
	}
	if memory > limit*memoryOfRaces {
		t.Errorf("memory grew to %d MiB", memory>>20)
	}
	if *full && (goodput < 0.9*peak || recovery > 2*time.Second) {
		t.Error(row.Figures)
	}
}

// during counts who began between one's nth beginning and a later one: all have something to do then, and have had for a while.
func during(began []string, whose string, from, to int) map[string]float64 {
	count, n := map[string]float64{}, 0
	for _, who := range began {
		if who == whose {
			n++
		}
		if n > from && n <= to {
			count[who]++
		}
	}
	return count
}

// TestF13_Fairness lets a tenant make ten short calls among another one's thousand long ones, and two tenants with weights work
// for as long as both have something to do.
func TestF13_Fairness(t *testing.T) {
	leakless(t)
	many := times(240, 1000)
	row := &Row{
		ID: "F13", What: "Fairness on 8 slots: ten short calls among a thousand long ones wait at the median ≤ 2× as long as behind running ones alone; weights 3:1 are kept to 5 %; batch is served",
		Count: fmt.Sprintf("%d calls of 50 ms and 10 of 5 ms; then %d of 20 ms by weights, and of batch", many, many),
	}
	enter(t, row)
	b := startBench(t, 1<<10)
	g := spawn(t, tenants("long", "short", "heavy", "light", "night")+"priorities: [{who: {org: heavy}, weight: 3}, {who: {org: night}, band: batch}]\nupstreams:\n"+
		upstreamEntry("bench", "modern", b.URL, nil, fmt.Sprintf("max_in_flight: %d", places), "queue: {size: 16384, per_tenant: 4096, max_wait: 10m}"))
	begin := func(n int, who string, ms float64) (end func() []outcome) {
		var got []outcome
		var all sync.WaitGroup
		before := len(b.beginnings(0))
		all.Go(func() { got = keep(t.Context(), 1, lines(n, g, keyOf(who), "bench__work", work(who, ms))) })
		eventually(t, "calls have begun", func() bool { return n == 0 || len(b.beginnings(0)) > before })
		return func() []outcome { all.Wait(); return got }
	}
	check := func(all []outcome) []time.Duration {
		t.Helper()
		served, refused := sorted(t, all)
		if len(refused) > 0 {
			t.Errorf("%d are refused", len(refused))
		}
		return served
	}

	running := begin(places, "long", 50)
	alone := check(begin(10, "short", 5)())
	check(running())
	others := begin(many, "long", 50)
	eventually(t, "they have long been at it", func() bool { return len(b.beginnings(0)) > 2*places+10+many/4 })
	from := len(b.beginnings(0))
	among := check(begin(10, "short", 5)())
	between := b.beginnings(from)
	check(others())

	from = len(b.beginnings(0))
	night := begin(many, "night", 20)
	light, heavy := begin(many, "light", 20), begin(many, "heavy", 20)
	check(heavy())
	count := during(b.beginnings(from), "heavy", many/5, many*9/10)
	check(light())
	check(night())
	ratio := count["heavy"] / count["light"]
	row.Figures = fmt.Sprintf("short calls took %v at the median among %d long ones, %v behind those that run; %d long ones began meanwhile; by weights %.0f:%.0f (%.2f), batch %.0f",
		quantile(among, 0.5), many, quantile(alone, 0.5), len(between)-10, count["heavy"], count["light"], ratio, count["night"])
	if len(between) > many/2 || count["night"] < count["heavy"]/12 || ratio < 1.5 || ratio > 6 {
		t.Error(row.Figures)
	}
	if *full && (quantile(among, 0.5) > 2*quantile(alone, 0.5) || ratio < 3*0.95 || ratio > 3*1.05) {
		t.Error(row.Figures)
	}
}
