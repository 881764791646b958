package script_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	os.Exit(withBinary(m))
}

// binaries is where the program under test is.
var binaries string

// withBinary builds the program as it is released, and the server "stdioserver" for it, and runs the tests.
func withBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "headgate-script-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-X main.version=v0.0.0-test",
		"-o", filepath.Join(dir, "headgate"), "github.com/headgate/headgate/cmd/headgate")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	server := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "stdioserver"), "github.com/headgate/headgate/test/fake/stdioserver")
	if out, err := server.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	binaries = dir
	return m.Run()
}

// TestScripts runs testdata. The commands beside those of testscript:
//
//	exits CODE PROGRAM ARG...    like exec, but wants this exit code
//	gateway ARG...               starts "headgate serve ARG..." on free ports and waits until it says that it serves; sets
//	                             HEADGATE_URL and ADMIN_URL; its standard error goes to gateway.log
//	stop SIGNAL [CODE]           ends it and wants this exit code (0)
//	said PATTERN                 waits until its standard error matches
//	hangup                       sends it SIGHUP
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", binaries+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("NO_PROXY", "*")
			env.Values[running{}] = new(process)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"gateway": startGateway,
			"stop":    stopGateway,
			"said":    gatewaySaid,
			"hangup":  hangUp,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func startGateway(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("gateway cannot be negated")
	}
	p, _ := ts.Value(running{}).(*process)
	all := slices.Concat([]string{"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, args)
	urls, err := p.start(filepath.Join(binaries, "headgate"), all, ts.MkAbs("."), ts.MkAbs("gateway.log"), environ(ts))
	if err != nil {
		ts.Fatalf("gateway: %v\n%s", err, p.said())
	}
	ts.Defer(p.kill)
	ts.Setenv("HEADGATE_URL", urls.clients)
	ts.Setenv("ADMIN_URL", urls.operators)
}

// environ passes on what scripts set and the gateway may read.
func environ(ts *testscript.TestScript) []string {
	var out []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TOKEN"} {
		if value := ts.Getenv(name); value != "" {
			out = append(out, name+"="+value)
		}
	}
	return out
}

func gatewaySaid(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: said PATTERN")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	p, _ := ts.Value(running{}).(*process)
	if !p.awaits(pattern.MatchString) {
		ts.Fatalf("%q was not said\n%s", args[0], p.said())
	}
}

func hangUp(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: hangup")
	}
	p, _ := ts.Value(running{}).(*process)
	ts.Check(p.cmd.Process.Signal(syscall.SIGHUP))
}

func stopGateway(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: stop TERM|INT [CODE]")
	}
	want := 0
	if len(args) == 2 {
		var err error
		want, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	p, _ := ts.Value(running{}).(*process)
	code, err := p.stop(strings.ToUpper(args[0]))
	ts.Check(err)
	if code != want {
		ts.Fatalf("the gateway ended with exit code %d, want %d\n%s", code, want, p.said())
	}
}
