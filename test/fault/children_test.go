package fault

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testimony is what a child process writes down of itself.
type testimony struct {
	PID     int
	Args    []string
	Environ []string
}

// actWitness writes down what it was started with, and is a server that nothing is wrong with. A stubborn one does not
// end when it is asked to.
func actWitness(path string, stubborn bool, args []string) int {
	text, err := json.Marshal(testimony{os.Getpid(), args, os.Environ()})
	if err == nil {
		err = os.WriteFile(path+".tmp", text, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if !stubborn {
		return serveStdio(&misdeed{}, false)
	}
	signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGINT)
	serveStdio(&misdeed{}, false)
	time.Sleep(time.Hour)
	return 0
}

// witness is the command line of a child that testifies at a path.
func witness(path, manner string, args ...string) []string {
	return self("witness", append([]string{path, manner}, args...)...)
}

func readTestimony(t *testing.T, path string) testimony {
	t.Helper()
	var out testimony
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestT26_NothingIsInterpreted gives a child arguments that a shell would act on, and the gateway an environment that would
// change what programs do, and a working directory for the child with a program of the name that is configured.
func TestT26_NothingIsInterpreted(t *testing.T) {
	row := &Row{ID: "T26", What: "arguments of children for a shell, variables for their loader: no shell, a clean environment", Count: "1 gateway"}
	enter(t, row)
	dir := t.TempDir()
	canary, seen := filepath.Join(dir, "canary"), filepath.Join(dir, "seen")
	args := []string{
		"; touch " + canary, "$(touch " + canary + ")", "`touch " + canary + "`", "&& touch " + canary, "| touch " + canary, "> " + canary,
		"\ntouch " + canary, "'\"; touch " + canary + " #", "*", "~", "$$HOME",
	}
	for _, name := range []string{"sh", "touch", "touch-of-here"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho x > "+canary+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	g := spawn(t, "upstreams:\n"+upstreamEntry("child", "legacy", "", witness(seen, "mild", args...), fmt.Sprintf("cwd: %q", dir), "env: {OWN: value}")+
		upstreamEntry("local", "legacy", "", []string{"touch-of-here"}, fmt.Sprintf("cwd: %q", dir)),
		"LD_PRELOAD=/canary.so", "LD_LIBRARY_PATH=/canary", "LD_AUDIT=/canary.so", "DYLD_INSERT_LIBRARIES=/canary", "BASH_ENV="+dir+"/sh", "ENV="+dir+"/sh",
		"NODE_OPTIONS=--require=/canary", "PYTHONPATH=/canary", "PYTHONSTARTUP=/canary", "PERL5OPT=-Mcanary", "GIT_SSH_COMMAND=canary",
		"BASH_FUNC_ls%%=() { touch "+canary+"; }", "HEADGATE_CANARY=secret", "AWS_SECRET_ACCESS_KEY=canary", "LANG=() { touch "+canary+"; }")
	c := newClient(t, g.url, false, "{}")
	for _, text := range []string{"; touch " + canary, "$(touch " + canary + ")"} { // arguments of a call are JSON on the child's input
		_, all, err := c.call(t.Context(), "child__plain", fmt.Sprintf(`"arguments":{"nonce":%q}`, text), "", nil)
		if err != nil || len(all) != 1 || all[0].Result == nil {
			t.Fatalf("%v %v", texts(all), err)
		}
	}
	got := readTestimony(t, seen)
	if want := slices.Concat(args[:len(args)-1], []string{"$HOME"}); !slices.Equal(got.Args, want) { // $$ stands for $ in a configuration
		t.Errorf("arguments\n%q, want\n%q", got.Args, want)
	}
	for _, entry := range got.Environ {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "OWN", "HOME", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TEMP", "TERM", "TMP", "TMPDIR", "TZ", "USER":
		default:
			if !strings.HasPrefix(name, "XDG_") && !strings.HasPrefix(name, "LC_") {
				t.Errorf("the child has %s", entry)
			}
		}
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("something was run")
	}
}

// TestT26_NoOrphans kills a gateway as hard as can be, with children that would not end by themselves.
func TestT26_NoOrphans(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("the kernel ends them on Linux only; elsewhere a server has to notice that its input ended")
		return
	}
	const promised = 2 * time.Second
	rounds, children := times(3, 100), 4
	row := &Row{ID: "T26", What: "kill -9 of the gateway: no child is left after 2 s", Count: fmt.Sprintf("%d kills, %d children each", rounds, children)}
	enter(t, row)
	var slowest time.Duration
	for range rounds {
		dir := t.TempDir()
		yaml := "upstreams:\n"
		for i := range children {
			yaml += upstreamEntry(fmt.Sprint("c", i), "legacy", "", witness(filepath.Join(dir, fmt.Sprint(i)), "stubborn"))
		}
		g := spawn(t, yaml)
		var pids []int
		for i := range children {
			pids = append(pids, readTestimony(t, filepath.Join(dir, fmt.Sprint(i))).PID)
		}
		if err := g.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		eventually(t, "all children are gone", func() bool { return !slices.ContainsFunc(pids, runs) })
		slowest = max(slowest, time.Since(began))
	}
	row.Figures = fmt.Sprintf("the last child was gone after %v", slowest.Round(time.Millisecond))
	if *full && slowest > promised {
		t.Error(row.Figures)
	}
}

// runs reports whether a process is there and has not ended.
func runs(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}
