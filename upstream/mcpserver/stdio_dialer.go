package mcpserver

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

const (
	// probeTimeout is how long a process may leave the probe unanswered before it
	// is taken for a legacy one that ignores what it does not know.
	probeTimeout = 3 * time.Second
	// restartPatience is how long a call waits for a start that is held back.
	restartPatience = 2 * time.Second
)

const stdio = "stdio"

// stdioDialer starts the processes of one upstream.
type stdioDialer struct {
	s         *Server
	environ   []string
	maxResult int
	pool      *pool
	pace      restarts

	mu    sync.Mutex
	spare *stdioConn // a running process that has not shaken hands, left by the probe
}

func newStdioDialer(s *Server, deps Deps) *stdioDialer {
	return &stdioDialer{s: s, environ: deps.Environ, pool: &shared, maxResult: int(deps.MaxResult)}
}

func (d *stdioDialer) transport() string { return stdio }

// open implements [dialer]: it shakes hands with the process that the probe left, or
// with a new one.
func (d *stdioDialer) open(ctx context.Context, era rpc.Era, h hello) (link, error) {
	c, err := d.process(ctx)
	if err != nil {
		return nil, err
	}
	c.spoken.Store(newHop(era, "", h.info, h.caps))
	var about *Description
	if era == rpc.Modern {
		about, err = d.discover(ctx, c, h)
	} else {
		about, err = d.initialize(ctx, c, h)
	}
	switch {
	case errors.Is(err, errOtherEra):
		d.leave(c)
		return nil, err
	case err != nil:
		d.abort(c)
		return nil, d.explain(ctx, c, err)
	}
	c.about.Store(about)
	c.spoken.Store(newHop(era, about.Revision, h.info, h.caps))
	if era == rpc.Legacy {
		if err := tell(ctx, c, rpc.NewNotification(mcp.Initialized, nil)); err != nil {
			d.abort(c)
			return nil, err
		}
	}
	return c, nil
}

// discover probes a process (MCP 2026-07-28, stdio). Legacy servers answer with any
// error, with nothing, or by ending.
func (d *stdioDialer) discover(ctx context.Context, c *stdioConn, h hello) (*Description, error) {
	probe := ctx
	if !h.known {
		within, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		probe = within
	}
	m, err := ask(probe, c, discoverRequest(h))
	switch {
	case err == nil:
		return judgeDiscover(m, h, stdio)
	case h.known || ctx.Err() != nil:
		return nil, err
	}
	c.unanswered = true
	return nil, errOtherEra
}

// initialize shakes hands with a process. One that left the probe unanswered may have been slow to start rather than deaf:
// it then takes the probe for the beginning of its conversation and refuses a second one, so the probe is repeated.
func (d *stdioDialer) initialize(ctx context.Context, c *stdioConn, h hello) (*Description, error) {
	about, err := initialize(ctx, c, h, d.s.fault, stdio)
	if _, refused := errors.AsType[*rpc.WireError](err); refused && c.unanswered {
		c.unanswered = false
		return nil, errOtherEra
	}
	return about, err
}

// process returns a running process that has not shaken hands.
func (d *stdioDialer) process(ctx context.Context) (*stdioConn, error) {
	d.mu.Lock()
	c := d.spare
	d.spare = nil
	d.mu.Unlock()
	if c != nil && c.alive() {
		return c, nil
	}
	if err := d.hold(ctx); err != nil {
		return nil, err
	}
	return d.start()
}

// hold waits until the process may be started again.
func (d *stdioDialer) hold(ctx context.Context) error {
	pause, cause := d.pace.delay(time.Now())
	if pause > restartPatience {
		e := d.s.fault.down(cause, "keeps ending and is not started again yet; %s", rpc.AsError(cause).Message)
		e.RetryAfter = pause
		return e
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (d *stdioDialer) start() (*stdioConn, error) {
	s := d.s
	p, err := startProcess(s.life, s.cfg, d.environ, s.log)
	if err != nil {
		e := s.fault.down(err, "could not be started: %s", startReason(err))
		d.pace.failed(time.Now(), e)
		return nil, e
	}
	c := &stdioConn{
		s: s, d: d, proc: p, pool: d.pool, queue: newLineQueue(d.pool),
		gone: make(chan struct{}), calls: map[uint64]*stdioCall{},
	}
	s.life.work.Go(func() { c.read(s.life) })
	s.life.work.Go(func() {
		if err := c.queue.run(p.stdin); err != nil {
			time.AfterFunc(closeGrace, p.kill) // it does not listen any more; its last answers may still come
		}
	})
	return c, nil
}

// startReason says in words why a command could not be run.
func startReason(err error) string {
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "its command was not found in PATH"
	case errors.Is(err, fs.ErrNotExist):
		return "its command or working directory does not exist"
	case errors.Is(err, fs.ErrPermission):
		return "its command may not be run"
	case errors.Is(err, errClosed):
		return "the gateway is shutting down"
	}
	return "the system refused"
}

// noteEnd paces the next start by how a process ended.
func (d *stdioDialer) noteEnd(useful bool, cause *rpc.Error) {
	if useful {
		d.pace.succeeded()
	}
	d.pace.failed(time.Now(), cause)
}

// leave keeps a process for a handshake in the other era.
func (d *stdioDialer) leave(c *stdioConn) {
	d.mu.Lock()
	old := d.spare
	d.spare = c
	d.mu.Unlock()
	if old != nil {
		d.abort(old)
	}
}

// abort ends a process that is of no use.
func (d *stdioDialer) abort(c *stdioConn) { d.s.retire([]link{c}) }

// explain says why a handshake failed.
func (d *stdioDialer) explain(ctx context.Context, c *stdioConn, err error) error {
	if ctx.Err() == nil || !errors.Is(err, context.Cause(ctx)) {
		return err
	}
	if quote := c.proc.tail.quote(); quote != "" {
		return d.s.fault.timedOut(err, "did not finish its handshake in %v; its last words: %s", openTimeout, quote)
	}
	return d.s.fault.timedOut(err, "did not finish its handshake in %v", openTimeout)
}

// close implements [dialer].
func (d *stdioDialer) close(ctx context.Context) {
	d.mu.Lock()
	c := d.spare
	d.spare = nil
	d.mu.Unlock()
	if c != nil {
		c.close(ctx)
	}
}
