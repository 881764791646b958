package upstream

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
)

// PoolConfig is what a [Pool] is made of. Zero values are the least that works: no breaker, no probes, no slow start, no retries.
type PoolConfig struct {
	Upstream string // its name, in errors and the log
	Kind     string // what it is called in errors; an upstream, if it is empty
	Log      *slog.Logger
	// Life is the context of the probes; it is needed where there are any.
	Life    context.Context //nolint:containedctx // it is the pool's, not a call's
	Balance Balance
	Breaker BreakerConfig
	Health  HealthConfig
	// SlowStart is how long a backend that is new or well again gets fewer calls than its share, where there are several.
	SlowStart time.Duration
	// Prefer returns the backend that a call belongs to, if it belongs to one. It is asked where there are several, for each attempt.
	Prefer func(c *rpc.Call) *Backend
	// Pick chooses for a call, where there are several, among those that are able, instead of Balance. It may keep the slice.
	Pick func(ctx context.Context, c *rpc.Call, able []*Backend) *Backend
	// Retry makes calls again that failed. Without it they are made once.
	Retry Retry
	// Random is where chance comes from. By default it cannot be foretold.
	Random func() uint64
}

// Retry makes calls, and makes them again where that is of use. It may be called concurrently.
type Retry interface {
	// Handle makes the call by p.Once, at least once. To say that backends are not to be asked again it passes the same Tried.
	Handle(ctx context.Context, c *rpc.Call, p *Pool) (*rpc.Reply, error)
}

// Pool is what stands behind one upstream: backends that do the same, of which it chooses one for each call. Its methods may be
// called concurrently. It runs no goroutine but those that ask backends whether they are well.
type Pool struct {
	cfg   PoolConfig
	began time.Time

	backends atomic.Pointer[[]*Backend] // never changed in place

	mu   sync.Mutex // held to change which backends there are, and which of them are ejected
	over bool
}

var _ rpc.Handler = (*Pool)(nil)

// NewPool returns a pool without backends.
func NewPool(cfg PoolConfig) *Pool {
	if cfg.Random == nil {
		cfg.Random = rand.Uint64
	}
	if cfg.Kind == "" {
		cfg.Kind = "upstream"
	}
	p := &Pool{cfg: cfg, began: time.Now()}
	p.backends.Store(&[]*Backend{})
	return p
}

// Add puts a backend into the pool. One that comes to others starts slowly.
func (p *Pool) Add(cfg BackendConfig) *Backend {
	b := p.Make(cfg)
	p.Put(b)
	return b
}

// Make makes a backend that gets no calls before it is put into the pool.
func (p *Pool) Make(cfg BackendConfig) *Backend { return newBackend(p, cfg) }

// Put puts a backend into the pool that was made for it, as Add does.
func (p *Pool) Put(b *Backend) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := *p.backends.Load()
	now := append(slices.Clone(old), b)
	if len(old) > 0 && old[0].called.Load() {
		b.rise(p.now())
	}
	p.backends.Store(&now)
	if !p.over {
		b.startProbes()
	}
}

// Remove takes a backend out of the pool: it gets no more calls. The channel is closed when those that it has are over.
func (p *Pool) Remove(b *Backend) (drained <-chan struct{}) {
	p.mu.Lock()
	now := slices.DeleteFunc(slices.Clone(*p.backends.Load()), func(other *Backend) bool { return other == b })
	p.backends.Store(&now)
	p.mu.Unlock()
	b.stopProbes()
	return b.drain()
}

// Close ends what asks backends whether they are well. Calls go on.
func (p *Pool) Close() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	for _, b := range *p.backends.Load() {
		b.stopProbes()
	}
}

// Len returns how many backends there are.
func (p *Pool) Len() int { return len(*p.backends.Load()) }

// now is the time since the pool was made, in nanoseconds, and never 0.
func (p *Pool) now() int64 { return int64(time.Since(p.began)) + 1 }

// Handle makes a call, again if it has to be and there is a [Retry].
func (p *Pool) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	if p.cfg.Retry != nil {
		return p.cfg.Retry.Handle(ctx, c, p)
	}
	var tried Tried
	return p.Once(ctx, c, &tried)
}

// Once makes a call at one backend that was not tried, and notes which. Backends that the call certainly did not reach do not count: it
// goes on to the next until none is left. An error is therefore either one of a call that may have run, or the last of all that
// can be had at the moment; of the latter, NotRun is set.
func (p *Pool) Once(ctx context.Context, c *rpc.Call, tried *Tried) (*rpc.Reply, error) {
	var last error
	for {
		b := p.choose(ctx, c, tried)
		if b == nil {
			if last == nil {
				c.Record.Note(rpc.Shed, "breaker_open", 0)
				last = p.unavailable()
			}
			return nil, last
		}
		if last != nil {
			c.Record.Again("upstream_down")
		}
		tried.add(b)
		reply, err := b.handle(ctx, c)
		switch {
		case err == nil:
			return reply, nil
		case err == errRefused: //nolint:errorlint // it is returned itself
		case ctx.Err() != nil || !unreached(err):
			return nil, err
		default:
			last = err
		}
	}
}

// unavailable is the error of a call for which there is no backend: all have failed and are left alone.
func (p *Pool) unavailable() error {
	wait, now := time.Duration(0), p.now()
	for _, b := range *p.backends.Load() {
		left := max(time.Second, time.Duration(b.breaker.until.Load()-now))
		if wait == 0 || left < wait {
			wait = left
		}
	}
	return &rpc.Error{
		Code: rpc.UpstreamDown, Upstream: p.cfg.Upstream, NotRun: true, RetryAfter: wait,
		Message: fmt.Sprintf("%s %q is unavailable: it kept failing, and is tried again in %s", p.cfg.Kind, p.cfg.Upstream, wait.Round(time.Second)),
	}
}

// Tried is the backends that a call was sent to. The zero value is ready.
type Tried struct {
	first [4]*Backend
	more  []*Backend
	n     int
}

// Len returns how many there are.
func (t *Tried) Len() int { return t.n }

func (t *Tried) add(b *Backend) {
	if t.n < len(t.first) {
		t.first[t.n] = b
	} else {
		t.more = append(t.more, b)
	}
	t.n++
}

func (t *Tried) has(b *Backend) bool {
	return t.n > 0 && (slices.Contains(t.first[:min(t.n, len(t.first))], b) || slices.Contains(t.more, b))
}
