package upstream_test

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// worker is an upstream whose calls take as long as they say.
type worker struct {
	running, most atomic.Int64

	mu     sync.Mutex
	served []string // whose calls, in the order in which they began
}

// job is a call of a worker.
type job struct {
	ctx  context.Context
	took time.Duration
	from *worker
	done atomic.Bool
}

func (w *worker) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	took, err := time.ParseDuration(c.Target.Own)
	if err != nil {
		return nil, err
	}
	n := w.running.Add(1)
	for most := w.most.Load(); n > most && !w.most.CompareAndSwap(most, n); most = w.most.Load() {
	}
	w.mu.Lock()
	w.served = append(w.served, c.Principal.Org)
	w.mu.Unlock()
	return rpc.NewReply(&job{ctx: ctx, took: took, from: w}), nil
}

// count returns how many of the first n calls were whose.
func (w *worker) count(n int) map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]int{}
	for _, org := range w.served[:min(n, len(w.served))] {
		out[org]++
	}
	return out
}

func (j *job) Next() (*rpc.Message, error) {
	if j.done.Load() {
		return nil, io.EOF
	}
	select {
	case <-time.After(j.took):
	case <-j.ctx.Done():
		j.end()
		return nil, context.Cause(j.ctx)
	}
	j.end()
	return rpc.NewResult(rpc.NumberID(1), []byte("{}")), nil
}

func (j *job) end() {
	if !j.done.Swap(true) {
		j.from.running.Add(-1)
	}
}

func (j *job) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (j *job) Close() error              { j.end(); return nil }

// callOf is a call of an organisation that takes so long.
func callOf(org string, took time.Duration) *rpc.Call {
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), "tools/call", nil), Method: &rpc.Method{Name: "tools/call"}, Dialect: rpc.MCP,
		Principal: rpc.Principal{Org: org}, Target: rpc.Target{Own: took.String()}, Record: &rpc.Record{},
	}
}

// admission is one of so many slots, whose queue takes whatever comes.
func admission(slots int, rules ...config.Priority) *upstream.Admission {
	return bounded(slots, config.Queue{Size: 1 << 20, PerTenant: 1 << 18, MaxWait: time.Hour}, rules...)
}

// bounded is one with a bounded queue.
func bounded(slots int, q config.Queue, rules ...config.Priority) *upstream.Admission {
	return upstream.NewAdmission(config.Upstream{Name: "render", MaxInFlight: slots, Queue: q}, func(p *rpc.Principal) config.Priority {
		return config.PriorityOf(rules, p.Org, p.Team, p.Key, p.User)
	})
}

// finish makes a call and pulls its reply to the end.
func finish(ctx context.Context, h rpc.Handler, c *rpc.Call) error {
	reply, err := h.Handle(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = reply.Close() }()
	for {
		m, err := reply.Next()
		if err != nil {
			return err
		}
		if m.IsResponse() {
			return nil
		}
	}
}

// crowd makes n calls of an organisation at once. It returns when all have been made, and the time each took.
func crowd(t *testing.T, h rpc.Handler, org string, n int, took func(i int) time.Duration) func() []time.Duration {
	t.Helper()
	var all sync.WaitGroup
	out := make([]time.Duration, n)
	for i := range n {
		all.Go(func() {
			began := time.Now()
			if err := finish(t.Context(), h, callOf(org, took(i))); err != nil {
				t.Errorf("call %d of %s: %v", i, org, err)
			}
			out[i] = time.Since(began) - took(i)
		})
	}
	return func() []time.Duration { all.Wait(); return out }
}

func always(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }
