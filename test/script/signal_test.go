package script_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// counting is a call that counts, and reports each step, for as long as it is let.
type counting struct {
	cmd  *exec.Cmd
	out  strings.Builder
	said *bufio.Reader // what it reports
}

// startCounting calls stream__count and returns when the call is known to be in flight.
func startCounting(t *testing.T, url, to string) *counting {
	t.Helper()
	c := &counting{cmd: exec.Command(filepath.Join(binaries, "headgate"), "call", "stream__count", "to="+to, "pause_ms=100", "--url", url)}
	c.cmd.Stdout = &c.out
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	c.said = bufio.NewReader(stderr)
	if line, err := c.said.ReadString('\n'); err != nil || !strings.HasPrefix(line, "[1/") {
		t.Fatalf("first step: %q, %v", line, err)
	}
	return c
}

// end waits for the call and returns its exit code, what it printed and what it reported.
func (c *counting) end(t *testing.T) (code int, out, said string) {
	t.Helper()
	rest, err := io.ReadAll(c.said)
	if err != nil {
		t.Error(err)
	}
	_ = c.cmd.Wait() // the exit code is in ProcessState
	return c.cmd.ProcessState.ExitCode(), c.out.String(), string(rest)
}

func startDemo(t *testing.T) (*process, addresses) {
	t.Helper()
	p := new(process)
	dir := t.TempDir()
	urls, err := p.start(filepath.Join(binaries, "headgate"),
		[]string{"serve", "--demo", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, dir, filepath.Join(dir, "log"), os.Environ())
	if err != nil {
		t.Fatalf("%v\n%s", err, p.said())
	}
	t.Cleanup(p.kill)
	return p, urls
}

func TestTerminatedGatewayLetsCallsFinish(t *testing.T) {
	t.Parallel()
	gateway, urls := startDemo(t)
	call := startCounting(t, urls.clients, "30") // longer than the time in which the gateway still takes connections
	if code, err := gateway.stop("TERM"); code != 0 || err != nil {
		t.Errorf("gateway: exit code %d, %v\n%s", code, err, gateway.said())
	}
	if code, out, said := call.end(t); code != 0 || out != "counted to 30\n" {
		t.Errorf("call: exit code %d, %q\n%s", code, out, said)
	}
}

func TestInterruptedGatewayCutsCallsOff(t *testing.T) {
	t.Parallel()
	gateway, urls := startDemo(t)
	call := startCounting(t, urls.clients, "1000")
	if code, err := gateway.stop("INT"); code != 0 || err != nil {
		t.Errorf("gateway: exit code %d, %v\n%s", code, err, gateway.said())
	}
	if code, out, said := call.end(t); code != 8 || out != "" || !strings.Contains(said, "try again") {
		t.Errorf("call: exit code %d, %q\n%s", code, out, said)
	}
}

func TestSecondSignalKills(t *testing.T) {
	t.Parallel()
	gateway, urls := startDemo(t)
	startCounting(t, urls.clients, "1000") // would keep the gateway for its whole drain time
	if err := gateway.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	gateway.awaitLog(t, "msg=stopping")
	if code, err := gateway.stop("TERM"); code != 1 || err != nil {
		t.Errorf("exit code %d, %v, want 1\n%s", code, err, gateway.said())
	}
}

func TestInterruptedCallIsCancelled(t *testing.T) {
	t.Parallel()
	gateway, urls := startDemo(t)
	call := startCounting(t, urls.clients, "1000")
	if err := call.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code, out, said := call.end(t); code != 1 || out != "" || !strings.HasSuffix(said, "headgate: interrupted\n") {
		t.Errorf("call: exit code %d, %q\n%s", code, out, said)
	}
	// Nothing is in flight any more, or this would take the drain time.
	if code, err := gateway.stop("TERM"); code != 0 || err != nil {
		t.Errorf("gateway: exit code %d, %v\n%s", code, err, gateway.said())
	}
}
