package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 30 * time.Second       // a cold Node.js on a busy machine
	stopTimeout  = 3 * time.Second        // between SIGTERM and SIGKILL
	pollInterval = 20 * time.Millisecond  // between two tries to connect
	drainTimeout = 500 * time.Millisecond // for output that a grandchild still holds open
	startTries   = 3                      // another process may take a free port before the child does
	tailSize     = 8 << 10
)

// Launched tells how to run a program that listens on the address it was made for.
type Launched struct {
	Argv []string
	Env  []string // added to the caller's environment
	URL  string   // what clients use
}

// Process is a running foreign program in a process group of its own.
type Process struct {
	// URL is the endpoint that clients use.
	URL string

	cmd  *exec.Cmd
	out  *tail
	done chan struct{} // closed when the program has ended
}

// Launch starts a program on a free port of 127.0.0.1 and returns when the port accepts connections. The
// program is killed with its process group when ctx ends.
func Launch(ctx context.Context, describe func(addr string) Launched) (*Process, error) {
	var last error
	for range startTries {
		addr, err := FreeAddress(ctx)
		if err != nil {
			return nil, err
		}
		p, err := start(ctx, describe(addr))
		if err != nil {
			return nil, err
		}
		if last = p.waitReady(ctx, addr); last == nil {
			return p, nil
		}
		p.Stop()
		if !errors.Is(last, errExited) {
			break
		}
	}
	return nil, last
}

func start(ctx context.Context, l Launched) (*Process, error) {
	cmd := exec.CommandContext(ctx, l.Argv[0], l.Argv[1:]...)
	cmd.Env = append(os.Environ(), l.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = drainTimeout
	p := &Process{URL: l.URL, cmd: cmd, out: &tail{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %q: %w", l.Argv, err)
	}
	go func() {
		defer close(p.done)
		// How it ended is told by its output: the exit status of a program that was killed says nothing.
		_ = cmd.Wait()
	}()
	return p, nil
}

var errExited = errors.New("it ended before it listened")

func (p *Process) waitReady(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.done:
			return fmt.Errorf("start %q: %w: %s", p.cmd.Args, errExited, p.Output())
		case <-ctx.Done():
			return fmt.Errorf("start %q: nothing listens on %s after %s: %s", p.cmd.Args, addr, startTimeout, p.Output())
		case <-tick.C:
		}
	}
}

// Pid returns the process id, which is also the id of the process group.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output returns the last 8 KiB of what the program wrote to standard output and standard error.
func (p *Process) Output() string { return p.out.String() }

// Stop ends the program and everything it started, and returns when it has ended. It may be called more than
// once.
func (p *Process) Stop() {
	group := -p.cmd.Process.Pid
	// ESRCH only says that it has ended already.
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-p.done
}

// FreeAddress returns an address of 127.0.0.1 that nothing listened on a moment ago.
func FreeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
