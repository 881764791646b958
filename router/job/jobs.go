package job

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state"
)

// Config bounds jobs. Those that were submitted keep what they were promised: their attempts, and how long they are kept.
type Config struct {
	Workers    int           // jobs that run at a time
	Attempts   int           // how often a job is begun at most
	Visibility time.Duration // a worker may be silent
	Keep       time.Duration // a job is kept after its end
	MaxAge     time.Duration // after its submission a job must have ended
	PerTenant  int           // jobs of a tenant that have not ended
	MaxParams  int           // bytes
	MaxResult  int           // bytes, with what was used
}

// Deps is what jobs are kept in and run by.
type Deps struct {
	Store state.Jobs
	Bus   state.Bus
	Clock state.Clock
	// Run runs what was submitted, as a call of the principal that submitted it.
	Run rpc.Handler
	Log *slog.Logger
}

// Jobs takes, runs and shows jobs. It outlives configurations. Its methods may be called concurrently, Start and Drain
// once each.
type Jobs struct {
	Deps
	config  atomic.Pointer[Config]
	leaving context.Context //nolint:containedctx // of those who wait for the end of a job
	leave   context.CancelFunc
	life    context.Context //nolint:containedctx // of what runs; its cause says why it ends
	end     context.CancelCauseFunc

	ended [state.JobDead + 1]atomic.Uint64 // by their workers here, in which state

	mu       sync.Mutex
	started  bool
	workers  []context.CancelFunc // each has its worker begin nothing more
	running  map[*attempt]struct{}
	done     sync.WaitGroup // of workers
	listener state.Listener // of cancellations; nil before the start
	heard    sync.WaitGroup // of who listens
}

var _ rpc.Handler = (*Jobs)(nil)

// New returns jobs that are taken and shown, and not yet run. What runs ends with [Jobs.Drain], and not with ctx: it would
// not be given back.
func New(ctx context.Context, deps Deps, cfg Config) *Jobs {
	j := &Jobs{Deps: deps, running: map[*attempt]struct{}{}}
	j.config.Store(&cfg)
	j.leaving, j.leave = context.WithCancel(ctx)
	j.life, j.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return j
}

// Start has jobs run. The error is the engine's.
func (j *Jobs) Start(ctx context.Context) error {
	l, err := j.Bus.Subscribe(ctx, cancelled)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.listener, j.started = l, true
	j.heard.Go(func() { j.listen(l) })
	j.crew()
	return nil
}

// Configure puts other bounds in force. Workers that are too many end their job first.
func (j *Jobs) Configure(cfg Config) {
	j.config.Store(&cfg)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.crew()
}

// crew has as many workers as there shall be. The lock is held.
func (j *Jobs) crew() {
	if !j.started {
		return
	}
	most := j.config.Load().Workers
	for len(j.workers) < most {
		claiming, stop := context.WithCancel(j.life)
		j.workers = append(j.workers, stop)
		j.done.Go(func() { j.work(claiming) })
	}
	for _, stop := range j.workers[most:] {
		stop()
	}
	j.workers = j.workers[:most]
}

// Running returns how many jobs run here.
func (j *Jobs) Running() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.running)
}

// Ended returns how many jobs workers here have ended in a state.
func (j *Jobs) Ended(s state.JobState) uint64 { return j.ended[s].Load() }

// Drain has nothing more begun, and nobody wait any longer for the end of a job. It returns when what runs has ended; what
// still does when ctx ends is stopped and given back, for whoever comes next.
func (j *Jobs) Drain(ctx context.Context) {
	j.leave()
	j.mu.Lock()
	j.started = false
	for _, stop := range j.workers {
		stop()
	}
	j.workers = nil
	listener := j.listener
	j.mu.Unlock()
	over := context.AfterFunc(ctx, func() { j.end(errDraining) })
	j.done.Wait()
	over()
	j.end(errDraining)
	if listener != nil {
		listener.Close()
		j.heard.Wait()
	}
}

// errDraining is why a job is stopped that will be begun again.
var errDraining = rpc.Errorf(rpc.Draining, "the gateway is shutting down")

// Handle answers invoke_async, and status and cancel of a job.
func (j *Jobs) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	switch c.Method.Name {
	case infer.InvokeAsync:
		return j.submit(ctx, c)
	case infer.Status:
		return j.status(ctx, c)
	case infer.Cancel:
		return j.cancel(ctx, c)
	}
	return nil, rpc.Errorf(rpc.MethodNotFound, "%s is not about jobs", rpc.Excerpt(c.Method.Name))
}

// soon is when the engine may be able again to do what it cannot.
const soon = time.Second

// errorOf is what a client is told of an error of the engine's.
func errorOf(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, state.ErrNoJob):
		return rpc.Errorf(rpc.JobUnknown, "there is no such job")
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return &rpc.Error{Code: rpc.StateUnavailable, Message: "jobs cannot be read or written at the moment", RetryAfter: soon, Cause: err}
}

// respond answers a call.
func respond(c *rpc.Call, result []byte) (*rpc.Reply, error) {
	if c.Message.IsNotification() {
		return rpc.Respond(nil), nil
	}
	return rpc.Respond(rpc.NewResult(c.Message.ID, result)), nil
}
