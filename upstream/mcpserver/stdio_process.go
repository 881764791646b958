package mcpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/headgate/headgate/config"
)

const (
	// closeGrace is how long a process may take to end once its input is closed,
	// and again once it was sent SIGTERM (MCP 2025-11-25, Lifecycle, Shutdown).
	closeGrace = 2 * time.Second
	// outputGrace is how long output is still read from a process that is dead: what
	// it wrote before is worth having, but another process may hold the pipe open.
	outputGrace = 500 * time.Millisecond
)

// process is a child in a process group of its own. All of the group is killed when the
// child has ended, whatever it started.
type process struct {
	cmd    *exec.Cmd
	stdin  *os.File // the end we write
	stdout *os.File // the end we read
	stderr *os.File
	tail   *stderrTail

	dead   chan struct{} // closed when the child has been reaped
	status string        // how it ended; valid then
	exited chan struct{} // closed when its last words have been read as well
}

// startProcess starts the configured command. The process ends with life at the
// latest, which also waits until it has been reaped. Arguments go to the program as
// they are: there is no shell.
func startProcess(life *lifetime, cfg config.Upstream, environ []string, log *slog.Logger) (*process, error) {
	p := &process{dead: make(chan struct{}), exited: make(chan struct{}), tail: newStderrTail(log, cfg.Env)}
	p.cmd = exec.CommandContext(life, cfg.Command, cfg.Args...) //nolint:gosec // it is what operators have servers started by
	p.cmd.Dir = cfg.Dir
	p.cmd.Env = environment(environ, cfg.Env)
	isolate(p.cmd)
	p.cmd.Cancel = func() error { killGroup(p.cmd.Process); return nil }
	theirs, err := p.connect()
	defer closeFiles(theirs...)
	if err != nil {
		return nil, err
	}
	started := make(chan error, 1)
	if !life.run(func() { p.supervise(life, started) }) {
		started <- errClosed
	}
	if err := <-started; err != nil {
		closeFiles(p.stdin, p.stdout, p.stderr)
		return nil, err
	}
	return p, nil
}

// connect makes the pipes and returns the child's ends of them. They are pipes of our
// own rather than exec's, because ours can be given deadlines.
func (p *process) connect() (theirs []*os.File, err error) {
	pipe := func() (r, w *os.File) {
		r, w, e := os.Pipe()
		err = errors.Join(err, e)
		return r, w
	}
	var in, out, fail *os.File
	in, p.stdin = pipe()
	p.stdout, out = pipe()
	p.stderr, fail = pipe()
	theirs = []*os.File{in, out, fail}
	if err != nil {
		closeFiles(p.stdin, p.stdout, p.stderr)
		return theirs, fmt.Errorf("pipes: %w", err)
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = in, out, fail
	return theirs, nil
}

// supervise starts the child, waits for its end and cleans up. It stays on one thread
// because the kernel's parent-death signal is tied to the thread that started the
// child (prctl(2), PR_SET_PDEATHSIG).
func (p *process) supervise(ctx context.Context, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	drained := make(chan struct{})
	go func() { p.tail.drain(ctx, p.stderr); close(drained) }()
	reap(p.cmd)
	p.status = p.cmd.ProcessState.String()
	close(p.dead)
	deadline := time.Now().Add(outputGrace)
	_ = p.stdout.SetReadDeadline(deadline)
	_ = p.stderr.SetReadDeadline(deadline)
	<-drained
	closeFiles(p.stderr, p.stdin)
	close(p.exited)
}

// stop ends the process: its input is closed, then it gets SIGTERM, then SIGKILL,
// with a grace period between them as long as ctx lasts. It returns when the process has been
// reaped.
func (p *process) stop(ctx context.Context) {
	closeFiles(p.stdin)
	if !p.endsWithin(ctx) {
		terminateGroup(p.cmd.Process)
		if !p.endsWithin(ctx) {
			p.kill()
		}
	}
	<-p.exited
}

func (p *process) endsWithin(ctx context.Context) bool {
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case <-p.dead:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// kill ends the process at once. It has no effect on one that has been reaped.
func (p *process) kill() {
	select {
	case <-p.dead:
	default:
		killGroup(p.cmd.Process)
	}
}

func closeFiles(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
