package mcpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestDeathInMidCall(t *testing.T) {
	t.Parallel()
	cfg := scripted("legacy")
	cfg.Env["SECRET_TOKEN"] = "hunter2-hunter2"
	s, log := newLoggedServer(t, cfg)
	mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)))

	failures := make(chan error)
	for range 3 {
		go func() {
			_, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "hang", `{}`)))
			failures <- err
		}()
	}
	eventually(t, "three calls in flight", func() bool { return inFlight(s) == 3 })
	_, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "die", `{}`)))
	for _, err := range []error{err, <-failures, <-failures, <-failures} {
		e, ok := errors.AsType[*rpc.Error](err)
		if !ok || e.Code != rpc.UpstreamDown {
			t.Fatal(err)
		}
		for _, want := range []string{`upstream "files"`, "exit status 3", "first words", "last words", "[redacted]"} {
			if !strings.Contains(e.Message, want) {
				t.Errorf("no %q in %s", want, e.Message)
			}
		}
		for _, not := range []string{"hunter2", "\x1b", "\n"} {
			if strings.Contains(e.Message, not) {
				t.Errorf("%q in %s", not, e.Message)
			}
		}
	}
	if state := s.State(); state.Status != Down || state.Err == nil {
		t.Errorf("state %+v", state)
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Error("a secret was logged")
	}
	mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)))
	if state := s.State(); state.Status != Up || state.Restarts != 1 {
		t.Errorf("state %+v", state)
	}
}

// inFlight counts the calls on all links.
func inFlight(s *Server) (n int) {
	s.links.mu.Lock()
	defer s.links.mu.Unlock()
	for _, seat := range s.links.open {
		c := seat.link.(*duplex).wire.(*stdioConn)
		c.mu.Lock()
		n += len(c.calls)
		c.mu.Unlock()
	}
	return n
}

func TestKilledInMidCall(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	for range 5 { // each time the restart is immediate, since the process was of use
		pid := pidOf(t, s, legacyClient(), "pid")
		failed := make(chan error)
		go func() {
			_, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "hang", `{}`)))
			failed <- err
		}()
		eventually(t, "a call in flight", func() bool { return inFlight(s) == 1 })
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		e, ok := errors.AsType[*rpc.Error](<-failed)
		if !ok || e.Code != rpc.UpstreamDown || !strings.Contains(e.Message, "signal: killed") {
			t.Fatal(e)
		}
	}
}

func TestRestartAnnouncesThatListsMayHaveChanged(t *testing.T) {
	t.Parallel()
	s := legacyServer(t)
	var mu sync.Mutex
	var heard []string
	s.OnNotice(func(m *rpc.Message) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, m.Method)
	})
	pid := pidOf(t, s, legacyClient(), "pid")
	if len(heard) != 0 {
		t.Errorf("heard %v at the first start", heard)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	eventually(t, "the death is noticed", func() bool { return s.State().Status == Down })
	mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)))
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(heard, []string{mcp.ToolsChanged}) {
		t.Errorf("heard %v", heard)
	}
}

func TestCorner5_30_ServerThatCannotStart(t *testing.T) {
	t.Parallel()
	s := newServer(t, scripted("crashing"))
	var last *rpc.Error
	for range 8 {
		last = mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)), rpc.UpstreamDown)
		if !strings.Contains(last.Message, "Cannot find module 'server'") || !strings.Contains(last.Message, "exit status 1") {
			t.Error(last.Message)
		}
		if last.RetryAfter > 0 {
			break
		}
	}
	if last.RetryAfter == 0 {
		t.Error("starts are not held back")
	}
}

func TestCommandThatDoesNotExist(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ command, dir, want string }{
		{"no-such-command-anywhere", "", "not found in PATH"},
		{filepath.Join(t.TempDir(), "nothing"), "", "does not exist"},
		{os.Args[0], filepath.Join(t.TempDir(), "nowhere"), "does not exist"},
		{t.TempDir(), "", "may not be run"},
	} {
		cfg := scripted("legacy")
		cfg.Command, cfg.Dir = test.command, test.dir
		if e := mustFail(t, newServer(t, cfg), newCall(t, legacyClient(), toolCall("1", "raw", `{}`)), rpc.UpstreamDown); !strings.Contains(e.Message, test.want) {
			t.Error(e.Message)
		}
	}
}

// gone reports whether a process has ended or is only waiting to be reaped by its
// parent.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z")
}

func TestCorner5_30_ShutdownLeavesNoProcess(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"legacy", "stubborn", "family", "deaf"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			cfg := scripted(script)
			cfg.Era = "legacy"
			s := newServer(t, cfg)
			var pids []int
			if script == "deaf" {
				if _, err := s.Describe(t.Context()); err != nil {
					t.Fatal(err)
				}
			} else {
				pids = append(pids, pidOf(t, s, legacyClient(), "pid"))
			}
			if script == "family" {
				pids = append(pids, pidOf(t, s, legacyClient(), "child"))
			}
			begun := time.Now()
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begun); took > 4*closeGrace {
				t.Errorf("took %v", took)
			}
			for _, pid := range pids {
				eventually(t, fmt.Sprintf("process %d is gone", pid), func() bool { return gone(pid) })
			}
			mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)), rpc.UpstreamDown)
		})
	}
}

func TestShutdownInAHurry(t *testing.T) {
	t.Parallel()
	cfg := scripted("stubborn")
	cfg.Era = "legacy"
	s := newServer(t, cfg)
	pid := pidOf(t, s, legacyClient(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = s.Close(ctx)
	eventually(t, "the process is gone", func() bool { return gone(pid) })
}

func TestCorner5_30_OrphansOfADeadServerAreKilled(t *testing.T) {
	t.Parallel()
	cfg := scripted("family")
	cfg.Era = "legacy"
	s := newServer(t, cfg)
	child := pidOf(t, s, legacyClient(), "child")
	mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "die", `{}`)), rpc.UpstreamDown)
	eventually(t, "its child is gone", func() bool { return gone(child) })
}

func TestServersDieWithAGatewayThatIsKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Log("the kernel does this on Linux only; elsewhere a server has to notice that its input ended")
		return
	}
	gateway := exec.CommandContext(t.Context(), os.Args[0])
	gateway.Env = append(os.Environ(), scriptVariable+"=gateway")
	out, err := gateway.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	var child struct{ PID int }
	if err := json.NewDecoder(out).Decode(&child); err != nil || child.PID == 0 || gone(child.PID) {
		t.Fatalf("process %d: %v", child.PID, err)
	}
	if err := gateway.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = gateway.Wait()
	eventually(t, "the server is gone", func() bool { return gone(child.PID) })
}

func TestCloseDuringStart(t *testing.T) {
	t.Parallel()
	s, log := newLoggedServer(t, scripted("mute"))
	failed := make(chan error)
	go func() {
		_, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall("1", "raw", `{}`)))
		failed <- err
	}()
	eventually(t, "the process runs", func() bool { return strings.Contains(log.String(), "here I am") })
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("no error")
	}
}
