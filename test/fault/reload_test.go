package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
)

// reloading is a gateway whose configuration is changed while calls go through it.
type reloading struct {
	*gateway.Gateway
	t                      *testing.T
	file, data             string
	stay, old, guest, home string // entries of upstreams; %d stands for their timeout

	calls, refused atomic.Int64
	slow           atomic.Bool // whether what is measured now counts for the reloads
	mu             sync.Mutex
	took           [2][]time.Duration // without and with reloads
}

// startReloadingGateway runs a gateway with an upstream of each kind.
func startReloadingGateway(t *testing.T) *reloading {
	t.Helper()
	dir := t.TempDir()
	r := &reloading{t: t, file: filepath.Join(dir, "headgate.yaml"), data: filepath.Join(dir, "data")}
	named := func(on way, name string) string {
		entry, _ := startWorker(t, on)
		entry = strings.Replace(entry, "  worker:", "  "+name+":", 1)
		return strings.Replace(entry, "}\n", ", timeout: %ds}\n", 1)
	}
	r.stay, r.old, r.guest, r.home = named(httpModern, "stay"), named(httpLegacy, "old"), named(httpLegacy, "guest"), named(stdioLegacy, "home")
	r.write(r.upstreams(60, true))
	load := func() (*config.Config, error) { return config.Load(r.file, os.LookupEnv) }
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	g, err := gateway.New(ctx, cfg, gateway.Options{Log: logger(t), Version: "test", Environ: os.Environ(), Load: load})
	if err != nil {
		t.Fatal(err)
	}
	r.Gateway = g
	t.Cleanup(func() {
		defer cancel()
		stop, done := context.WithTimeout(ctx, 30*time.Second)
		defer done()
		if err := g.StopNow(stop); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if err := g.Start(ctx); err != nil {
		t.Fatal(err)
	}
	g.Warm(ctx)
	return r
}

// upstreams writes upstreams with timeouts that are no two reloads' the same. The guest may be away.
func (r *reloading) upstreams(n int, guest bool) string {
	out := "upstreams:\n" + fmt.Sprintf(r.stay, 60) + fmt.Sprintf(r.old, 60+n%2) + fmt.Sprintf(r.home, 60+n/16%2)
	if guest {
		out += fmt.Sprintf(r.guest, 60)
	}
	return out
}

func (r *reloading) write(yaml string) {
	text := "version: 1\nlisten: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\ndata_dir: " + r.data +
		"\nshutdown: {grace: 0s, drain: 20s}\nbounds: {per_session_in_flight: 256}\n" + yaml
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Error(err)
	}
}

// once changes the file in one of the ways and has it read.
func (r *reloading) once(n int) {
	before := r.Configuration()
	want, fails := before.Generation+1, false
	switch n % 5 {
	case 0: // valid: limits of their own each time, and upstreams that are connected to anew
		r.write(fmt.Sprintf("limits: [{name: all, scope: ip, unit: requests, rate: %d/s, burst: 1000000}]\n", 900_000+n) + r.upstreams(n/5, true))
	case 1: // the same
		want = before.Generation
	case 2: // one upstream gone
		r.write(r.upstreams(n/5, false))
	case 3: // invalid, as a whole
		r.write("nonsense: true\nlimits: [{name: all, scope: ip, unit: requests, rate: 1/h}]\n" + r.upstreams(n/5, true))
		want, fails = before.Generation, true
	case 4: // it is back
		r.write(r.upstreams(n/5, true))
	}
	got := r.ReloadFiles(r.t.Context(), "test")
	if got.Generation != want || got.Failed != fails || fails == (len(got.Problems) == 0) {
		r.t.Errorf("reload %d: %+v; want generation %d, failed %v", n, got, want, fails)
	}
}

// outcome judges the answer to a call. One that was made when the upstream was away may say so, and nothing else.
func (r *reloading) outcome(what string, all []message, err error, mayBeAway bool) (ok bool) {
	r.calls.Add(1)
	if err != nil || len(all) == 0 {
		if r.t.Context().Err() == nil {
			r.t.Errorf("%s: %v: %s", what, err, texts(all))
		}
		return false
	}
	last := all[len(all)-1]
	if mayBeAway && strings.Contains(string(last.Error), "unknown tool") {
		r.refused.Add(1)
		return false
	}
	if last.Error != nil || last.Result == nil || strings.Contains(string(last.Result), `"isError":true`) {
		r.t.Errorf("%s: %.300s", what, last.text)
		return false
	}
	return true
}

// measure notes how long a call took.
func (r *reloading) measure(took time.Duration) {
	i := 0
	if r.slow.Load() {
		i = 1
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took[i] = append(r.took[i], took)
}

// load makes calls of all kinds until ctx ends.
func (r *reloading) load(ctx context.Context) (wait func()) {
	url := "http://" + r.Addr() + "/mcp"
	var workers sync.WaitGroup
	run := func(modern bool, capabilities string, call func(c *client, nonce string)) {
		c := newClient(r.t, url, modern, capabilities)
		workers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				call(c, fmt.Sprintf("n%d-%d", rand.Uint64(), i))
			}
			c.web.CloseIdleConnections()
		})
	}
	work := func(tool string, t task, meta string, away bool) func(*client, string) {
		return func(c *client, nonce string) {
			t := t
			t.Nonce = nonce
			arguments, _ := json.Marshal(t)
			_, all, err := c.call(context.WithoutCancel(ctx), tool, `"arguments":`+string(arguments), meta, nil)
			r.outcome(tool, all, err, away)
		}
	}
	for range 2 {
		run(true, "{}", func(c *client, nonce string) {
			began := time.Now()
			work("stay__work", task{}, "", false)(c, nonce)
			r.measure(time.Since(began))
		})
	}
	run(true, "{}", work("stay__work", task{MS: 100}, `"progressToken":"p"`, false))
	run(false, "{}", work("old__work", task{MS: 1}, "", false))
	run(false, `{"elicitation":{"form":{}}}`, work("old__work", task{MS: 20}, `"progressToken":"p"`, false)) // a link of its own
	run(false, "{}", work("home__work", task{MS: 5}, "", false))
	run(true, "{}", work("guest__work", task{MS: 30}, "", true))
	for _, tool := range []string{"old__work", "guest__work"} {
		run(true, `{"elicitation":{"form":{}}}`, func(c *client, nonce string) { r.park(context.WithoutCancel(ctx), c, tool, nonce) })
	}
	return workers.Wait
}

// park makes a call that asks its client, who takes a while to answer. The upstream may be away when it begins, not
// when it goes on.
func (r *reloading) park(ctx context.Context, c *client, tool, nonce string) {
	p := plan{task: task{Nonce: nonce, MS: 5, Ask: true}}
	_, all, err := c.callAs(ctx, c.ids.Add(1), tool, "", p, nil)
	if !r.outcome(tool+" that asks", all, err, strings.HasPrefix(tool, "guest")) {
		return
	}
	state := stateOf(all)
	if state == "" {
		r.t.Errorf("%s asks nothing: %s", tool, texts(all))
		return
	}
	time.Sleep(30 * time.Millisecond)
	answers := `"inputResponses":{` + keysOf(all[len(all)-1]) + `},"requestState":` + state
	_, all, err = c.callAs(ctx, c.ids.Add(1), tool, answers, p, nil)
	r.outcome(tool+" that was answered", all, err, false)
}

// inUse returns how many descriptors and goroutines there are.
func inUse() (descriptors, goroutines int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, runtime.NumGoroutine()
	}
	return len(entries), runtime.NumGoroutine()
}

// TestF6_Reloads changes the configuration again and again while calls of all kinds go through it.
func TestF6_Reloads(t *testing.T) {
	count, pause := times(60, 1000), time.Duration(times(10, 100))*time.Millisecond
	row := &Row{
		ID: "F6", What: "Reloads under load (valid, invalid, same, upstream gone and back): no call fails, invalid ones change nothing, what is gone drains, nothing is left",
		Count: fmt.Sprintf("%d reloads; unary calls, streams, sessions, parked calls; upstreams of both eras, over HTTP and stdio", count),
	}
	enter(t, row)
	leakless(t)
	r := startReloadingGateway(t)
	during := func(do func()) {
		ctx, stop := context.WithCancel(t.Context())
		wait := r.load(ctx)
		do()
		stop()
		wait()
	}
	during(func() { time.Sleep(time.Duration(times(1, 10)) * time.Second) })
	descriptors, goroutines := inUse()
	children := childrenOf(t)
	r.slow.Store(true)
	began := time.Now()
	during(func() {
		for n := range count {
			r.once(n)
			time.Sleep(pause)
		}
	})
	took := time.Since(began)
	const slack = 16 // connections that wait for their next call: there may be some more or less of them
	eventually(t, "descriptors, goroutines and children are what they were", func() bool {
		d, g := inUse()
		return d <= descriptors+slack && g <= goroutines+slack && childrenOf(t) == children
	})
	d, g := inUse()
	if children != childrenOf(t) {
		t.Errorf("%d children, %d before", childrenOf(t), children)
	}
	without, with := p99(r.took[0]), p99(r.took[1])
	row.Figures = fmt.Sprintf("%d calls, 0 failed, %d told that the upstream is away; p99 %.1f ms without reloads, %.1f ms with one each %.0f ms (%.2f); descriptors %d → %d, goroutines %d → %d",
		r.calls.Load(), r.refused.Load(), without, with, float64(took.Milliseconds())/float64(count), with/without, descriptors, d, goroutines, g)
}

// p99 is the time that 99 of 100 take at most, in milliseconds.
func p99(took []time.Duration) float64 {
	slices.Sort(took)
	if len(took) == 0 {
		return 0
	}
	return float64(took[len(took)*99/100].Microseconds()) / 1000
}

// childrenOf counts the child processes of this one.
func childrenOf(t *testing.T) (n int) {
	t.Helper()
	threads, err := filepath.Glob("/proc/self/task/*/children") // each has those that it has started
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range threads {
		text, _ := os.ReadFile(path) // a thread that ended meanwhile has passed them on
		n += len(strings.Fields(string(text)))
	}
	return n
}
