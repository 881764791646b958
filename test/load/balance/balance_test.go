package balance

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/test/fake/engine"
	"github.com/headgate/headgate/upstream/model"
)

var full = flag.Bool("full", false, "measure with many calls, round robin too, and print a table")

const (
	engines = 4
	slots   = 8
	tokens  = 32
	rate    = 100.0 // tokens per second of a call at a fast engine; a tenth of it at the slow one
	load    = 0.8   // of what all engines can do together
)

// start starts the engines, of which the first is slow.
func start(t *testing.T) []*engine.Server {
	t.Helper()
	out := make([]*engine.Server, engines)
	for i := range out {
		speed := rate
		if i == 0 {
			speed /= 10
		}
		out[i] = engine.Start(t, engine.Config{
			Slots: slots, TokenRate: speed, Prefill: time.Duration(float64(100*time.Millisecond) / (10 * speed)),
			Length: func(*engine.Request) int { return tokens },
		})
	}
	return out
}

// pool makes the pool of a model in front of some of the engines.
func pool(t *testing.T, of []*engine.Server) *model.Pool {
	t.Helper()
	cfg := config.Model{
		Name: "sim", Balance: "expected-wait", PrefixAffinity: config.KiB, Queue: config.Queue{Size: 1 << 16, PerTenant: 1 << 16, MaxWait: time.Hour},
		Deadlines: config.Deadlines{FirstToken: time.Hour, BetweenTokens: time.Hour, Total: time.Hour}, Retry: config.Retry{Attempts: 1},
		WarmUp: config.WarmUp{At: "never", Timeout: time.Minute},
	}
	for _, e := range of {
		cfg.Backends = append(cfg.Backends, config.ModelBackend{Kind: "openai", URL: e.URL + "/v1", MaxInFlight: slots, Weight: 1, StreamUsage: true})
	}
	log := slog.New(slog.DiscardHandler)
	p, err := model.NewPool(cfg, model.PoolDeps{
		Log: log, Life: t.Context(),
		Rank: func(*rpc.Principal) config.Priority { return config.Priority{Band: "default", Weight: 1} },
		Open: func(b config.ModelBackend) (model.Backend, error) {
			return model.NewBackend(b, model.BackendDeps{Model: "sim", Log: log, MaxResult: 1 << 20, Agent: "test"})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// drive sends calls at random times, as many as keep the engines as busy as load says, and returns how long each first token took, sorted.
func drive(t *testing.T, calls int, choose func(i int) *model.Pool) []time.Duration {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	perSecond := load * (engines - 1 + 0.1) * slots * rate / tokens
	var all sync.WaitGroup
	out := make([]time.Duration, calls)
	began := time.Now()
	next := time.Duration(0)
	for i := range calls {
		next += time.Duration(random.ExpFloat64() / perSecond * float64(time.Second))
		time.Sleep(next - time.Since(began))
		all.Go(func() {
			var err error
			if out[i], err = call(t, choose(i), i); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	all.Wait()
	slices.Sort(out)
	return out
}

// call makes a streamed invoke and returns when its first token came.
func call(t *testing.T, p *model.Pool, i int) (time.Duration, error) {
	row, _ := infer.Lookup(infer.Invoke)
	params := fmt.Appendf(nil, `{"model":"sim","stream":true,"max_tokens":%d,"prompt":"call %d"}`, tokens, i)
	began := time.Now()
	reply, err := p.Handle(t.Context(), &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(uint64(i)), infer.Invoke, params).Clone(), Method: row, Dialect: rpc.Infer, Received: began, Record: &rpc.Record{},
		Header: http.Header{}, Target: rpc.Target{Kind: rpc.Model, Exposed: "sim", Canonical: "sim", Upstream: "sim", Own: "sim"},
	})
	if err != nil {
		return 0, err
	}
	defer reply.Close() //nolint:errcheck // it has ended
	if _, err = reply.Next(); err != nil {
		return 0, err
	}
	first := time.Since(began)
	for err == nil {
		_, err = reply.Next()
	}
	if !rpc.IsEnd(err) {
		return first, err
	}
	return first, nil
}

// Of four engines one is ten times slower: it gets at most a quarter of its equal share.
func TestTheSlowEngineGetsAtMostAQuarterOfItsShare(t *testing.T) {
	calls := 160
	if *full {
		calls = 1500
	}
	two := start(t)
	p := pool(t, two)
	ttft := drive(t, calls, func(int) *model.Pool { return p })
	slow := len(two[0].Ledger())
	if slow > calls/engines/4 {
		t.Errorf("it got %d of %d calls, and a quarter of its equal share is %d", slow, calls, calls/engines/4)
	}
	if !*full {
		return
	}
	robin := start(t)
	pools := make([]*model.Pool, engines)
	for i := range pools {
		pools[i] = pool(t, robin[i:i+1])
	}
	turns := drive(t, calls, func(i int) *model.Pool { return pools[i%engines] })
	t.Logf("%d calls of %d tokens at %.0f%% of what %d engines can do, of which one is ten times slower:\n\n%s", calls, tokens, 100*load, engines,
		"| choice | calls at the slow engine | median TTFT | p99 TTFT |\n| --- | ---: | ---: | ---: |\n"+
			line("power of two on expected wait", slow, calls, ttft)+line("round robin", len(robin[0].Ledger()), calls, turns))
}

// line is a row of the table.
func line(name string, slow, calls int, ttft []time.Duration) string {
	at := func(q float64) time.Duration {
		return ttft[int(q*float64(len(ttft)-1))].Round(time.Millisecond)
	}
	return fmt.Sprintf("| %s | %d (%.1f%%) | %v | %v |\n", name, slow, 100*float64(slow)/float64(calls), at(0.5), at(0.99))
}
