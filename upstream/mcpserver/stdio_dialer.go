package mcpserver

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"time"

	"github.com/headgate/headgate/rpc"
)

// restartPatience is how long a call waits for a start that is held back.
const restartPatience = 2 * time.Second

const stdio = "stdio"

// stdioDialer starts the processes of one upstream.
type stdioDialer struct {
	s         *Server
	environ   []string
	maxResult int
	pace      restarts
}

var _ connector = (*stdioDialer)(nil)

func newStdioDialer(s *Server, deps Deps) *duplexDialer {
	return &duplexDialer{s: s, name: stdio, connector: &stdioDialer{s: s, environ: deps.Environ, maxResult: int(deps.MaxResult)}}
}

// connect implements [connector]: it starts a process, once it may be started again.
func (d *stdioDialer) connect(ctx context.Context) (*duplex, error) {
	if err := d.hold(ctx); err != nil {
		return nil, err
	}
	p, err := startProcess(d.s.life, d.s.cfg, d.environ, d.s.log)
	if err != nil {
		e := d.s.fault.down(err, "could not be started: %s", startReason(err))
		d.pace.failed(time.Now(), e)
		return nil, e
	}
	c := newStdioConn(d, p)
	c.run()
	return c.duplex, nil
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

// explain implements [connector].
func (d *stdioDialer) explain(ctx context.Context, c *duplex, err error) error {
	if ctx.Err() == nil || !errors.Is(err, context.Cause(ctx)) {
		return err
	}
	if p, ok := c.wire.(*stdioConn); ok {
		if quote := p.proc.tail.quote(); quote != "" {
			return d.s.fault.timedOut(err, "did not finish its handshake in %v; its last words: %s", openTimeout, quote)
		}
	}
	return d.s.fault.timedOut(err, "did not finish its handshake in %v", openTimeout)
}
