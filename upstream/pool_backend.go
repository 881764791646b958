package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/headgate/headgate/rpc"
)

// BackendConfig is what a [Backend] is made of.
type BackendConfig struct {
	ID      string // HOST:PORT or the like, unique in the pool; by it calls are hashed
	Weight  int    // 1 if it is 0
	Handler rpc.Handler
	// Probe asks the backend whether it is well. Without it the pool does not ask.
	Probe func(ctx context.Context) error
}

// Backend is one of those that a [Pool] chooses from. Its methods may be called concurrently.
type Backend struct {
	pool *Pool
	cfg  BackendConfig
	seed uint64

	weight   atomic.Int64
	breaker  *breaker
	inFlight atomic.Int64
	called   atomic.Bool // it was, at least once
	record   record
	ejected  atomic.Int64 // until when, by the pool's clock; 0 if it is not
	down     atomic.Bool  // by what probes found
	risen    atomic.Int64 // when it began to start slowly; 0 if it does not
	draining atomic.Bool

	ends    sync.Once
	drained chan struct{}
	stop    context.CancelFunc // of the probes; nil if there are none
	probes  sync.WaitGroup
}

func newBackend(p *Pool, cfg BackendConfig) *Backend {
	b := &Backend{pool: p, cfg: cfg, seed: hash([]byte(cfg.ID)), drained: make(chan struct{})}
	b.SetWeight(cfg.Weight)
	b.breaker = newBreaker(p.cfg.Breaker, p.now, b.turned)
	return b
}

// ID returns what the backend is called in its pool.
func (b *Backend) ID() string { return b.cfg.ID }

// SetWeight changes the backend's share of the calls; 0 is 1.
func (b *Backend) SetWeight(w int) { b.weight.Store(int64(max(w, 1))) }

// turned notes that the breaker has changed its state.
func (b *Backend) turned(to gobreaker.State) {
	switch to {
	case gobreaker.StateOpen:
		b.pool.cfg.Log.Warn("backend is left alone: it keeps failing", "upstream", b.pool.cfg.Upstream, "backend", b.cfg.ID)
	case gobreaker.StateClosed:
		b.rise(b.pool.now())
		b.pool.cfg.Log.Info("backend is called again", "upstream", b.pool.cfg.Upstream, "backend", b.cfg.ID)
	case gobreaker.StateHalfOpen:
	}
}

// open reports whether the backend may be called: it is not left alone.
func (b *Backend) open(now func() int64) bool { return b.breaker.closed(now) }

// Usable reports whether the backend is as good as any: not left alone, not ejected, not found unwell, not leaving.
func (b *Backend) Usable() bool {
	return b.open(b.pool.now) && !b.unwell(b.pool.now) && !b.draining.Load()
}

// unwell reports whether others are to be preferred.
func (b *Backend) unwell(now func() int64) bool {
	until := b.ejected.Load()
	return b.down.Load() || until != 0 && now() < until
}

// slowest is the part of its share that a backend gets at the beginning of its slow start.
const slowest = 0.1

// share is the weight of the backend, less while it starts slowly.
func (b *Backend) share(now func() int64) float64 {
	weight, since := float64(b.weight.Load()), b.risen.Load()
	if since == 0 {
		return weight
	}
	part := float64(now()-since) / float64(b.pool.cfg.SlowStart)
	if part >= 1 {
		b.risen.CompareAndSwap(since, 0)
		return weight
	}
	return weight * max(part, slowest)
}

// Share is how much of the calls the backend is to get, relative to the others: its weight, less while it starts slowly.
func (b *Backend) Share() float64 { return b.share(b.pool.now) }

// Rise lets the backend start slowly from now on.
func (b *Backend) Rise() { b.rise(b.pool.now()) }

// Broke notes that a call failed whose first message had come, so that it had counted as one that went well. Where several do so in a row, or most
// of them do, others are preferred to the backend for a while.
func (b *Backend) Broke() {
	if b.record.good.Load() > 0 { // else they are counted anew
		b.record.good.Add(-1)
	}
	b.record.broken.Add(1)
	b.pool.failed(b)
}

// Finished notes that a call came to its end.
func (b *Backend) Finished() {
	if b.record.broken.Load() != 0 {
		b.record.broken.Store(0)
	}
}

// rise lets the backend start slowly, from a time that may be to come.
func (b *Backend) rise(at int64) {
	if b.pool.cfg.SlowStart > 0 {
		b.risen.Store(at)
	}
}

// handle makes a call. The error is errRefused if the breaker does not let it through.
func (b *Backend) handle(ctx context.Context, c *rpc.Call) (reply *rpc.Reply, err error) {
	t, ok := b.breaker.enter()
	if !ok {
		return nil, errRefused
	}
	b.inFlight.Add(1)
	if !b.called.Load() {
		b.called.Store(true)
	}
	defer func() {
		switch {
		case reply == nil && err == nil: // it panicked
			b.settle(t, errNeither)
		case err != nil:
			b.settle(t, judge(err))
		case t.done == nil:
			reply.Watch(b, t.mark)
			return
		default:
			reply.Watch(&counted{b, t}, 0)
			return
		}
		b.leave()
	}()
	return b.cfg.Handler.Handle(ctx, c)
}

// First implements [rpc.Watcher] for calls that pass the breaker by. The ticket is the breaker's mark.
func (b *Backend) First(ticket uint64, m *rpc.Message, err error) {
	b.settle(pass{mark: ticket}, outcome(m, err))
}

// Closed implements [rpc.Watcher].
func (b *Backend) Closed(uint64) { b.leave() }

// counted watches a call that the breaker counts.
type counted struct {
	b *Backend
	t pass
}

// First implements [rpc.Watcher].
func (w *counted) First(_ uint64, m *rpc.Message, err error) { w.b.settle(w.t, outcome(m, err)) }

// Closed implements [rpc.Watcher].
func (w *counted) Closed(uint64) { w.b.leave() }

// settle draws the conclusions from how a call went.
func (b *Backend) settle(t pass, outcome error) {
	b.breaker.settle(t, outcome)
	switch outcome {
	case nil:
		b.record.succeeded()
	case errFailed: //nolint:errorlint // it is itself or not there
		b.pool.failed(b)
	}
}

// leave notes that a call is over.
func (b *Backend) leave() {
	if b.inFlight.Add(-1) == 0 && b.draining.Load() {
		b.ends.Do(func() { close(b.drained) })
	}
}

// drain lets the channel be closed when no call is left. The backend has been taken out of its pool.
func (b *Backend) drain() <-chan struct{} {
	b.inFlight.Add(1) // so that it is closed once, by who comes last
	b.draining.Store(true)
	b.leave()
	return b.drained
}

// outcome is how a call went that had a reply. A reply that was closed unread has gone neither way; one that ends without a message is
// that of a notification.
func outcome(m *rpc.Message, err error) error {
	switch {
	case m != nil, err == io.EOF: //nolint:errorlint // the end as such, and no error that wraps it
		return nil
	case err == nil:
		return errNeither
	}
	return judge(err)
}

// judge says what an error tells of the backend. What the client or the gateway did, and what the backend said of a request,
// tells nothing against it.
func judge(err error) error {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || errors.Is(err, context.Canceled) {
		return errNeither
	}
	switch e.Code {
	case rpc.UpstreamDown, rpc.UpstreamTimeout:
		return errFailed
	case rpc.UpstreamFailed:
		var status interface{ HTTPStatus() int }
		if errors.As(err, &status) && status.HTTPStatus() < http.StatusInternalServerError || errors.Is(err, ErrTooLarge) {
			return errNeither
		}
		return errFailed
	case rpc.Overloaded: // said by an HTTP status, of which some speak of a client's share and not of the server
		var status interface{ HTTPStatus() int }
		if errors.As(err, &status) && status.HTTPStatus() >= http.StatusInternalServerError {
			return errFailed
		}
	}
	return errNeither
}

// unreached reports whether a call certainly did not run, so that another backend can be asked whatever it is about.
func unreached(err error) bool {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || !e.NotRun {
		return false
	}
	switch e.Code {
	case rpc.UpstreamDown, rpc.UpstreamTimeout, rpc.UpstreamFailed, rpc.Busy, rpc.Overloaded:
		return true
	}
	return false
}

// Bounds of what is found out from calls alone.
const (
	failuresInARow = 5
	leastCalls     = 20               // of which more than half have to fail
	window         = 10 * time.Second // in which they are counted, from the first failure on
	firstEjection  = 5 * time.Second
	lastEjection   = 5 * time.Minute
)

// record is what calls have shown of a backend.
type record struct {
	good atomic.Int64 // since the window began
	row  atomic.Int64 // failures in a row
	// broken is how many calls in a row broke off after their first message.
	broken atomic.Int64
	fails  atomic.Int64 // ever

	// Under the pool's lock.
	bad      int64 // since the window began
	since    int64
	times    int   // that it was ejected, less when it was well for long
	released int64 // when the last ejection ends
}

func (r *record) succeeded() {
	r.good.Add(1)
	if r.row.Load() != 0 {
		r.row.Store(0)
	}
}

// failed notes a failed call, and ejects the backend if it is one too many. Not more than half of the backends are ejected at a time.
func (p *Pool) failed(b *Backend) {
	r := &b.record
	r.fails.Add(1)
	row := max(r.row.Add(1), r.broken.Load())
	all := *p.backends.Load()
	if len(all) < 2 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if r.since == 0 || now-r.since > int64(window) {
		r.since, r.bad = now, 0
		r.good.Store(0)
	}
	r.bad++
	total := r.bad + r.good.Load()
	if row < failuresInARow && (total < leastCalls || 2*r.bad <= total) || b.ejected.Load() > now {
		return
	}
	out := 1
	for _, other := range all {
		if other != b && other.ejected.Load() > now {
			out++
		}
	}
	if out > len(all)/2 {
		return
	}
	p.eject(b, now)
}

// eject lets others be preferred to a backend for a while, longer each time. The lock is held.
func (p *Pool) eject(b *Backend, now int64) {
	r := &b.record
	pause := func() int64 { return int64(min(firstEjection<<min(r.times, 10), lastEjection)) }
	for r.times > 0 && now-r.released > pause() {
		r.released += pause()
		r.times--
	}
	until := now + pause()
	r.times++
	r.released, r.since = until, 0
	r.row.Store(0)
	r.broken.Store(0)
	b.ejected.Store(until)
	b.rise(until)
	p.cfg.Log.Warn("backend is ejected: too many calls failed", "upstream", p.cfg.Upstream, "backend", b.cfg.ID, "for", time.Duration(until-now).String())
}
