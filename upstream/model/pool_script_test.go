package model_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/upstream/model"
)

// plan is what a puppet does with a call.
type plan struct {
	refuse error         // instead of a reply
	first  time.Duration // until the first chunk, or the whole answer of a unary call
	every  time.Duration // between chunks
	chunks int           // of a token each
	err    error         // instead of the chunk that would come next
}

// puppet is a backend that does what it is told, and counts.
type puppet struct {
	name string
	plan func(c *rpc.Call) plan
	load func(ctx context.Context) error // of Warm

	calls, warmed, flying, most, closed atomic.Int64
	mu                                  sync.Mutex
	seen                                []string // prompts
}

func (p *puppet) Probe(context.Context) error { return nil }
func (p *puppet) Close() error                { p.closed.Add(1); return nil }

func (p *puppet) Warm(ctx context.Context, _ string) error {
	p.warmed.Add(1)
	if p.load == nil {
		return nil
	}
	return p.load(ctx)
}

func (p *puppet) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	p.calls.Add(1)
	prompt, _ := c.Message.Text("prompt")
	p.mu.Lock()
	p.seen = append(p.seen, prompt)
	p.mu.Unlock()
	what := p.plan(c)
	try := c.Record.Try(rpc.Hop{Upstream: "big", Backend: p.name, Transport: "puppet"})
	if what.refuse != nil {
		try.End(what.refuse)
		return nil, what.refuse
	}
	n := p.flying.Add(1)
	for most := p.most.Load(); n > most && !p.most.CompareAndSwap(most, n); most = p.most.Load() {
	}
	stream, _ := c.Message.Get("stream")
	r := &puppetRun{ctx: ctx, of: p, plan: what, try: try, unary: string(stream) != "true"}
	try.Metered(&r.meter)
	return rpc.NewReply(r), nil
}

// puppetRun is a call of a puppet.
type puppetRun struct {
	ctx   context.Context
	of    *puppet
	plan  plan
	try   *rpc.Try
	meter rpc.Meter
	unary bool
	n     int
	over  atomic.Bool
	gone  sync.Once
}

func (r *puppetRun) Next() (*rpc.Message, error) {
	wait := r.plan.every
	switch {
	case r.n > r.plan.chunks:
		return nil, io.EOF
	case r.unary:
		r.n = r.plan.chunks
		wait = r.plan.first + time.Duration(max(0, r.plan.chunks-1))*r.plan.every
	case r.n == 0:
		wait = r.plan.first
	case r.n == r.plan.chunks:
		wait = 0
	}
	select {
	case <-time.After(wait):
	case <-r.ctx.Done():
		r.end()
		return nil, fmt.Errorf("the exchange broke: %w", context.Cause(r.ctx))
	}
	if r.plan.err != nil && r.n >= r.plan.chunks {
		r.end()
		return nil, r.plan.err
	}
	r.meter.Uses(rpc.Usage{Input: 4, Output: int64(r.n)})
	r.n++
	if r.n <= r.plan.chunks {
		return infer.TextChunk(r.of.name), nil
	}
	m := rpc.NewResult(rpc.NumberID(1), []byte(`{}`))
	r.try.Saw(m)
	r.end()
	return m, nil
}

func (r *puppetRun) end() {
	if !r.over.Swap(true) {
		r.of.flying.Add(-1)
		r.try.Leave()
	}
}
func (r *puppetRun) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (r *puppetRun) Close() error              { r.gone.Do(r.end); return nil }

func answersIn(first time.Duration, chunks int, every time.Duration) func(*rpc.Call) plan {
	return func(*rpc.Call) plan { return plan{first: first, chunks: chunks, every: every} }
}

// unreachable is the error of a backend that refuses connections.
func unreachable() error {
	return &rpc.Error{Code: rpc.UpstreamDown, Message: "connection refused", NotRun: true}
}

// troupe is the puppets of a pool.
type troupe []*puppet

func newTroupe(n int, do func(*rpc.Call) plan) troupe {
	out := make(troupe, n)
	for i := range out {
		out[i] = &puppet{name: "10.0.0." + strconv.Itoa(i) + ":80", plan: do}
	}
	return out
}

func (t troupe) backends(slots int) []config.ModelBackend {
	out := make([]config.ModelBackend, len(t))
	for i, p := range t {
		out[i] = config.ModelBackend{Kind: "openai", URL: "http://" + p.name + "/v1", MaxInFlight: slots, Weight: 1}
	}
	return out
}

func (t troupe) open(b config.ModelBackend) (model.Backend, error) {
	i := slices.IndexFunc(t, func(p *puppet) bool { return b.URL == "http://"+p.name+"/v1" })
	return t[i], nil
}

// modelOf is the configuration of a model in front of a troupe; more changes it.
func modelOf(t troupe, slots int, more func(*config.Model)) config.Model {
	m := config.Model{
		Name: "big", Backends: t.backends(slots), Balance: "expected-wait", PrefixAffinity: config.KiB,
		Queue:     config.Queue{Size: 1 << 16, PerTenant: 1 << 14, MaxWait: 30 * time.Second},
		Deadlines: config.Deadlines{FirstToken: 10 * time.Second, BetweenTokens: 15 * time.Second, Total: 10 * time.Minute},
		Retry:     config.Retry{Attempts: 3, Budget: 10}, Breaker: config.Breaker{Failures: 5, OpenFor: 5 * time.Second},
		WarmUp: config.WarmUp{At: "first-call", Timeout: 5 * time.Minute},
	}
	if more != nil {
		more(&m)
	}
	return m
}

// newPool makes a pool that is closed when the test ends: in a bubble, before that does.
func newPool(t *testing.T, of troupe, cfg config.Model) *model.Pool {
	t.Helper()
	return poolOf(t, cfg, of.open)
}

func poolOf(t *testing.T, cfg config.Model, open func(config.ModelBackend) (model.Backend, error)) *model.Pool {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	p, err := model.NewPool(cfg, model.PoolDeps{
		Log: slog.New(slog.DiscardHandler), Life: t.Context(), Open: open,
		Rank: func(*rpc.Principal) config.Priority { return config.Priority{Band: "default", Weight: 1} },
		Random: func() uint64 {
			mu.Lock()
			defer mu.Unlock()
			return random.Uint64()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// streamed is an invoke that wants its answer in chunks.
func streamed(t testing.TB, prompt string) *rpc.Call {
	return invoke(t, `{"model":"big","stream":true,"prompt":`+strconv.Quote(prompt)+`}`)
}

// unary is one that wants it as a whole.
func unary(t testing.TB, prompt string) *rpc.Call {
	return invoke(t, `{"model":"big","prompt":`+strconv.Quote(prompt)+`}`)
}

// finished makes a call and pulls its reply to the end. It returns how many messages there were.
func finished(ctx context.Context, h rpc.Handler, c *rpc.Call) (messages int, err error) {
	reply, err := h.Handle(ctx, c)
	if err != nil {
		return 0, err
	}
	defer func() { _ = reply.Close() }()
	for {
		m, err := reply.Next()
		if err != nil {
			return messages, err
		}
		if messages++; m.IsResponse() {
			return messages, nil
		}
	}
}
