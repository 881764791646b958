package model

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/upstream"
)

// PoolDeps is what a [Pool] is given by the gateway.
type PoolDeps struct {
	Log *slog.Logger
	// Life is the context of what runs beside calls: probes and warm-ups.
	Life context.Context //nolint:containedctx // it is the pool's, not a call's
	// Rank says whose calls come first where calls wait.
	Rank upstream.Ranker
	// Open makes a backend. It connects to nothing yet.
	Open func(config.ModelBackend) (Backend, error)
	// Random is where chance comes from. By default it cannot be foretold.
	Random func() uint64
}

// Pool is the backends of one model, or of those whose names fit a glob. A call waits for its turn, is sent to the backend where it will be done
// soonest, and again to another one if that failed before anything of the answer was seen. Its methods may be called concurrently, but Close
// only once.
type Pool struct {
	cfg   config.Model
	deps  PoolDeps
	began time.Time
	life  context.Context //nolint:containedctx // of warm-ups, ended by Close
	end   context.CancelCauseFunc
	work  sync.WaitGroup

	pool  *upstream.Pool
	queue *upstream.Admission
	next  rpc.Handler // behind the queue

	mu      sync.Mutex // held to change the members
	members atomic.Pointer[[]*replica]
	leavers atomic.Pointer[[]*replica] // that are no members any more and still have calls
	moved   signal                     // a slot came free, or a backend has loaded its model

	prompts infer.Estimator // of prompts, in tokens
	answers mean            // of answers without a limit, in tokens
	homes   homes           // of prompts
	names   names
}

var _ rpc.Handler = (*Pool)(nil)

// errPoolClosed is why warm-ups end when a pool is closed.
var errPoolClosed = errors.New("the model was closed")

// NewPool returns the pool of a model. The error is one of the configuration.
func NewPool(cfg config.Model, deps PoolDeps) (*Pool, error) {
	if deps.Random == nil {
		deps.Random = rand.Uint64
	}
	p := &Pool{cfg: cfg, deps: deps, began: time.Now()}
	p.life, p.end = context.WithCancelCause(deps.Life)
	pool := upstream.PoolConfig{
		Upstream: cfg.Name, Kind: "model", Log: deps.Log, Life: p.life, Breaker: upstream.BreakerConfig{Failures: cfg.Breaker.Failures, OpenFor: cfg.Breaker.OpenFor},
		SlowStart: cfg.SlowStart, Pick: p.pick,
	}
	if cfg.Health != nil {
		pool.Health = upstream.HealthConfig{Interval: cfg.Health.Interval, Timeout: cfg.Health.Timeout}
	}
	if cfg.Retry.Attempts > 1 {
		pool.Retry = upstream.NewRetries(cfg.Retry)
	}
	p.pool = upstream.NewPool(pool)
	p.members.Store(&[]*replica{})
	p.leavers.Store(&[]*replica{})
	enabled := cfg.Enabled()
	for _, b := range enabled {
		if _, err := p.join(b); err != nil {
			p.end(errPoolClosed)
			p.pool.Close()
			return nil, err
		}
	}
	limited := cfg.MaxInFlight > 0 || !slices.ContainsFunc(enabled, func(b config.ModelBackend) bool { return b.MaxInFlight == 0 })
	p.queue = upstream.NewMeteredAdmission(cfg.Name, limited, cfg.Queue, deps.Rank, meter{p})
	p.next = p.queue.Before(rpc.HandlerFunc(p.serve))
	return p, nil
}

// join makes a backend and puts it into the pool. The lock is held, or the pool is new.
func (p *Pool) join(cfg config.ModelBackend) (*replica, error) {
	server, err := p.deps.Open(cfg)
	if err != nil {
		return nil, err
	}
	m := newReplica(p, cfg, server)
	for _, old := range *p.leavers.Load() {
		if same(old.cfg, cfg) {
			m.before = old
		}
	}
	m.Backend = p.pool.Make(upstream.BackendConfig{ID: p.idOf(cfg), Weight: cfg.Weight, Handler: m, Probe: server.Probe})
	all := append(slices.Clone(*p.members.Load()), m)
	p.members.Store(&all)
	p.pool.Put(m.Backend)
	m.keepWarm()
	return m, nil
}

// Begin has backends load the model that are to have it from the start.
func (p *Pool) Begin() {
	if p.cfg.WarmUp.At != "start" {
		return
	}
	for _, m := range *p.members.Load() {
		m.kick(p.now())
	}
}

// Name returns the name of the model's entry in the configuration.
func (p *Pool) Name() string { return p.cfg.Name }

// Close ends what runs beside calls, and the backends. Calls in flight go on.
func (p *Pool) Close() error {
	p.end(errPoolClosed)
	p.pool.Close()
	p.work.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, m := range *p.members.Load() {
		errs = append(errs, m.server.Close())
	}
	return errors.Join(errs...)
}

// now is the time since the pool was made, and never 0.
func (p *Pool) now() time.Duration { return time.Since(p.began) + 1 }

// Handle makes an invocation of a model.
func (p *Pool) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	return p.next.Handle(context.WithValue(ctx, loadKey{}, p.weigh(c)), c)
}

// serve makes a call that has its turn, at a backend that has room for it.
func (p *Pool) serve(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	const pause = 20 * time.Millisecond
	until := time.Now().Add(p.cfg.Queue.MaxWait)
	for {
		if err := p.ready(ctx, until); err != nil {
			return nil, err
		}
		reply, err := p.pool.Handle(ctx, c)
		if !errors.Is(err, errNotNow) || time.Until(until) < pause {
			return reply, err
		}
		select { // another call was quicker, or a backend has gone
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// ready returns when there is a backend to send a call to, or says why there will be none.
func (p *Pool) ready(ctx context.Context, until time.Time) error {
	var moved <-chan struct{} // nil before it is looked at again with it in hand
	var late <-chan time.Time
	for {
		v := p.look()
		switch {
		case v.free > 0, v.spare > 0 && v.loaded+v.loading == 0:
			return nil
		case v.loaded+v.loading == 0:
			return v.err
		case moved == nil:
			moved = p.moved.wait()
			if late == nil {
				timer := time.NewTimer(time.Until(until))
				defer timer.Stop()
				late = timer.C
			}
			continue
		}
		select {
		case <-moved:
			moved = nil
		case <-late:
			return p.late(v)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// view is what can be had of a pool's backends at a moment.
type view struct {
	loaded  int   // that are well and have the model
	free    int   // of them that have room
	loading int   // that load the model
	spare   int   // that have the model and are not well: better than none
	err     error // why others do not, where nothing else is left
}

// look counts the backends, and has those load the model that are to.
func (p *Pool) look() view {
	var v view
	now := p.now()
	for _, m := range *p.members.Load() {
		switch m.state(now) {
		case loaded:
			switch {
			case !m.Usable():
				v.spare++
			case m.room():
				v.free++
				fallthrough
			default:
				v.loaded++
			}
		case cold:
			if m.kick(now) {
				v.loading++
			} else {
				v.err = cmp.Or(v.err, m.failure())
			}
		case loading:
			v.loading++
		}
	}
	return v
}

// late is the error of a call that has waited for a backend for as long as it may.
func (p *Pool) late(v view) error {
	if v.loaded > 0 {
		return p.notNow("has no backend with a slot free", time.Second)
	}
	err := p.notNow("is being loaded by its backends", 5*time.Second)
	err.Code = rpc.UpstreamDown
	return err
}

// errNotNow is the cause of an error by which a backend is not asked, and nothing is wrong with it.
var errNotNow = errors.New("not now")

func (p *Pool) notNow(why string, again time.Duration) *rpc.Error {
	return &rpc.Error{
		Code: rpc.Overloaded, Upstream: p.cfg.Name, NotRun: true, RetryAfter: again, Message: "model " + rpc.Excerpt(p.cfg.Name) + " " + why, Cause: errNotNow,
	}
}
