package fault

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var (
	full  = flag.Bool("full", false, "make each fault as often as the ledger promises")
	paper = flag.String("ledger", "", "put a row for each test into this Markdown `file`")
	role  = flag.String("role", "", "be the child process that a test wants: an upstream on stdio")
)

var (
	faults  Ledger
	scratch string // a folder for all tests
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *role != "" {
		os.Exit(act(*role, flag.Args()))
	}
	stop, err := lookUpHere()
	if err == nil {
		scratch, err = os.MkdirTemp("", "fault")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	stop()
	_ = os.RemoveAll(scratch) // what is left is in the system's folder for that
	if *paper != "" {
		if err := faults.Write(*paper); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// times is how often a fault is made: fewer times than the ledger promises unless -full is given.
func times(few, promised int) int {
	if *full {
		return promised
	}
	return few
}

// enter puts a row for the test into the ledger when it has ended. What r leaves open is filled in.
func enter(t *testing.T, r *Row) {
	t.Helper()
	began := time.Now()
	t.Cleanup(func() {
		r.Held = !t.Failed()
		r.Commit, r.Machine = commit(), machine()
		r.Command = "go test ./test/fault -full -run '^" + t.Name() + "$'"
		r.Figures = strings.TrimPrefix(r.Figures+fmt.Sprintf("; took %.0f s", time.Since(began).Seconds()), "; ")
		t.Logf("%s: %s: %s", r.ID, r.Count, r.Figures)
		if *full {
			faults.Add(*r)
		}
	})
}

var commit = sync.OnceValue(func() string {
	text, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return string(bytes.TrimSpace(text))
})

// machine names what the process runs on.
var machine = sync.OnceValue(func() string {
	model := runtime.GOARCH
	info, _ := os.ReadFile("/proc/cpuinfo") // elsewhere the architecture has to do
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%d × %s, %s, %s", runtime.NumCPU(), model, runtime.GOOS, runtime.Version())
})

// leakless fails a test that leaves goroutines behind. It is called first, so that it looks last.
func leakless(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if err := goleak.Find(before); err != nil {
			t.Errorf("after the last call: %v", err)
		}
	})
}
