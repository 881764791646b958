package fault

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/telemetry"
)

// child is a gateway that is a process of its own, so that what it takes can be measured, and it can be killed.
type child struct {
	cmd *exec.Cmd
	url string
}

// actGateway runs the gateway of a configuration file until its input ends, and prints where it can be reached.
func actGateway(path string) int {
	ctx := context.Background()
	cfg, err := config.Load(path, os.LookupEnv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	log, err := telemetry.NewLogger(os.Stderr, "error", "json", cfg.Secrets()...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	g, err := gateway.New(ctx, cfg, gateway.Options{Log: log, Version: "test", Environ: os.Environ()})
	if err == nil {
		err = g.Start(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	g.Warm(ctx)
	fmt.Println(g.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := g.StopNow(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// spawn starts a gateway as a process, with variables added to its environment.
func spawn(t *testing.T, yaml string, environ ...string) *child {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "headgate.yaml")
	text := "version: 1\nlisten: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\ndata_dir: " + filepath.Join(dir, "data") +
		"\nshutdown: {grace: 0s, drain: 0s}\n" + yaml
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(os.Args[0], "-role=gateway", path)}
	c.cmd.Env, c.cmd.Stderr = append(os.Environ(), environ...), os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		killer := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
		defer killer.Stop()
		_ = c.cmd.Wait() // it may have been killed
	})
	if c.url, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the gateway did not start: %v", err)
	}
	c.url = strings.TrimSpace(c.url)
	return c
}

// addr is where clients connect.
func (c *child) addr() string {
	return strings.TrimSuffix(strings.TrimPrefix(c.url, "http://"), "/mcp")
}

// memory returns a line of the process's status in bytes: VmRSS or VmHWM, the highest that VmRSS has been.
func (c *child) memory(t *testing.T, line string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		if name, rest, _ := strings.Cut(l, ":"); name == line {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("there is no %s", line)
	return 0
}
