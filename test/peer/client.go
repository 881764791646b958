package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
)

// Output is what a program printed and how it ended.
type Output struct {
	Stdout, Stderr string
	Code           int // exit status
}

// Inspector runs the Inspector's command line client with the given arguments, such as the server's URL and
// "--method", "tools/list". Its settings go to home, a folder of the caller's. A failed request is no error:
// see Output.Code.
func (s *Set) Inspector(ctx context.Context, home string, args ...string) (Output, error) {
	argv := s.node("22", "@modelcontextprotocol/inspector/clients/launcher/build/index.js")
	return run(ctx, home, slices.Concat(argv, []string{"--cli"}, args))
}

// Mcporter runs mcporter with the given arguments, such as "list", the server's URL and "--allow-http". Its
// settings go to home, a folder of the caller's. A failed request is no error: see Output.Code.
func (s *Set) Mcporter(ctx context.Context, home string, args ...string) (Output, error) {
	return run(ctx, home, slices.Concat(s.node("24", "mcporter/dist/cli.js"), args))
}

// Suite runs the official conformance suite with the given arguments, such as "server", "--url" and the
// server's URL. A failed check is no error: see Output.Code and the files it wrote.
func (s *Set) Suite(ctx context.Context, home string, args ...string) (Output, error) {
	return run(ctx, home, slices.Concat(s.node("22", "@modelcontextprotocol/conformance/dist/index.js"), args))
}

func run(ctx context.Context, home string, argv []string) (Output, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = home
	cmd.Env = append(os.Environ(), "HOME="+home, "NO_COLOR=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = drainTimeout
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := Output{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("run %q: %w: %s", argv, err, out.Stderr)
	}
	return out, nil
}
