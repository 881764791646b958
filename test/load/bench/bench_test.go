//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/test/load/generator"
)

// TestMain makes the test binary take the roles of children, as the program itself does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{upstreamRole, proxyRole, engineRole, modelProxyRole}, os.Args[1]) {
		main()
		return
	}
	os.Exit(m.Run())
}

// keepThread keeps the thread that starts children alive as long as the test.
func keepThread(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
}

func TestCellIsMeasuredAtEveryTarget(t *testing.T) {
	t.Parallel()
	keepThread(t)
	o := &options{rounds: 2, duration: 20 * time.Millisecond, targets: []string{directTarget, proxyTarget}, dir: t.TempDir()}
	c := cell{Era: generator.Legacy, Upstreams: 3, Payload: 1000, Connections: 4}
	all, err := measureCell(t.Context(), o, c)
	if err != nil {
		t.Fatal(err)
	}
	results := summarize(c, all)
	if len(results) != 2 {
		t.Fatalf("%d results, want 2", len(results))
	}
	for _, r := range results {
		if r.CallsPerSecond <= 0 || r.P50 <= 0 || r.P99 < r.P50 || r.failed() != 0 || r.UpstreamCPU <= 0 || r.LoadCPU <= 0 {
			t.Errorf("%+v", r)
		}
		if middle := r.Target == proxyTarget; middle != (r.CPU > 0) || middle != (r.PeakRSS > 0) || middle != (r.CPURatio == 1) {
			t.Errorf("%+v", r)
		}
	}
}

func TestIdleStreamsAreHeldToldAndReleased(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("lets streams settle for some seconds")
	}
	keepThread(t)
	o := &options{idle: 200, targets: []string{directTarget}, dir: t.TempDir(), format: "json", out: t.TempDir() + "/report.json"}
	if err := runIdle(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(o.out)
	if err != nil || !strings.Contains(string(text), `"heard": 200`) {
		t.Errorf("report %s, %v", text, err)
	}
}

func TestChildrenThatFailSayWhy(t *testing.T) {
	t.Parallel()
	keepThread(t)
	_, _, err := startRole(t.Context(), t.TempDir(), upstreamRole, "many")
	if err == nil || !strings.Contains(err.Error(), `parsing "many"`) {
		t.Errorf("error %v", err)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for want, values := range map[float64][]float64{0: nil, 1: {1}, 1.5: {2, 1}, 2: {3, 1, 2}, 25: {100, 10, 20, 30}, 4: {9, 4, 8, 1, 2, 7, 3}} {
		if got := median(values); got != want {
			t.Errorf("median(%v) = %v, want %v", values, got, want)
		}
	}
}

func TestRatiosAreTakenRoundByRound(t *testing.T) {
	t.Parallel()
	// The machine is slow in the second round: the ratio is 2 in each, though the medians over all rounds say otherwise.
	baseline := []sample{{gateway: 10, rate: 100}, {gateway: 90, rate: 10}, {gateway: 12, rate: 80}}
	gateway := []sample{{gateway: 20, rate: 50}, {gateway: 180, rate: 5}, {gateway: 24, rate: 40}}
	results := summarize(cell{}, []series{{target: headgateTarget, samples: gateway}, {target: proxyTarget, samples: baseline}})
	if r := results[0]; r.CPURatio != 2 || r.RateRatio != 0.5 || r.CPU != 0.024 {
		t.Errorf("%+v", r)
	}
	if r := results[1]; r.CPURatio != 1 || r.RateRatio != 1 {
		t.Errorf("%+v", r)
	}
}

func TestBudgetIsBrokenByFailuresAndByTime(t *testing.T) {
	t.Parallel()
	at := func(connections int, target string, cpuRatio float64, failures int64) result {
		return result{cell: cell{Connections: connections}, Target: target, CPURatio: cpuRatio, Failures: map[generator.Fault]int64{generator.WrongNonce: failures}}
	}
	tests := []struct {
		name   string
		result result
		factor float64
		broken bool
	}{
		{"within", at(16, headgateTarget, 0.9, 0), 1, false},
		{"above", at(16, headgateTarget, 1.1, 0), 1, true},
		{"above without a budget", at(16, headgateTarget, 1.1, 0), 0, false},
		{"above at other connections", at(64, headgateTarget, 1.1, 0), 1, false},
		{"above at another target", at(16, proxyTarget, 1.1, 0), 1, false},
		{"failed calls", at(1, directTarget, 0, 1), 0, true},
		{"nothing to compare with", at(16, headgateTarget, 0, 0), 1, true},
	}
	for _, tt := range tests {
		if got := overBudget([]result{tt.result}, headgateTarget, tt.factor); (len(got) > 0) != tt.broken {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestMatrixIsWhole(t *testing.T) {
	t.Parallel()
	if whole, quick := len(matrix(false)), len(matrix(true)); whole != 24 || quick != 8 {
		t.Errorf("%d and %d cells, want 24 and 8", whole, quick)
	}
}

func TestReportHasATableOfRatios(t *testing.T) {
	t.Parallel()
	m := matrixReport{Facts: facts{Commit: "abc", Go: "go1", System: "linux/x", Cores: 2}, Rounds: 7, Seconds: 1}
	for _, c := range matrix(true)[:2] {
		for target, cpuRatio := range map[string]float64{directTarget: 0, proxyTarget: 1} {
			m.Results = append(m.Results, result{cell: c, Target: target, CPU: cpuRatio * 100, CPURatio: cpuRatio})
		}
		m.Results = append(m.Results, result{cell: c, Target: headgateTarget, CPU: 61, CPURatio: 0.61, RateRatio: 1.4, PeakRSS: 20})
	}
	var text strings.Builder
	m.markdown(&text)
	for _, want := range []string{
		"Commit abc, go1, linux/x, 2 cores; 7 rounds of 1 s.",
		"| 1 | 256 B | legacy | 0.61 |\n| 1 | 256 B | modern | 0.61 |\n",
		"| legacy | 16 | headgate | 0 | 1.40 | 0.00 | 0.00 | 61 | 0.61 | 20.0 | 0 |",
		"| legacy | 16 | direct | 0 | 0.00 | 0.00 | 0.00 | – | – | – | 0 |",
		"## What measuring costs",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &text)
		}
	}
}

func TestStatusOfAProcessIsRead(t *testing.T) {
	t.Parallel()
	got, err := statusBytes([]byte("Name:\tx\nVmHWM:\t    2252 kB\nVmRSS:\t 7 kB\n"), "VmHWM")
	if diff := cmp.Diff(int64(2252<<10), got); diff != "" || err != nil {
		t.Errorf("%s%v", diff, err)
	}
	if _, err := statusBytes([]byte("Name:\tx\n"), "VmHWM"); err == nil {
		t.Error("a missing value was read")
	}
	m, err := memoryOf(os.Getpid())
	if err != nil || m.resident <= 0 || m.peak < m.resident {
		t.Errorf("memory of this process: %+v, %v", m, err)
	}
}

func TestProcessorTimeIsThatOfTheProcess(t *testing.T) {
	t.Parallel()
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for sum, i := 0, 0; i < 1_000_000; i++ {
		sum += i
	}
	after, err := cpuTime(os.Getpid())
	if err != nil || after <= before {
		t.Errorf("%v, then %v, %v", before, after, err)
	}
	if _, err := cpuTime(1<<22 + 1); err == nil {
		t.Error("a process beyond the largest id has processor time")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"x"}, {"-rounds", "-1"}, {"-o", "xml"}, {"-targets", "direct,nowhere"}, {"-idle", "-1"}, {"-streams", "-1"}} {
		if _, err := parseOptions(args); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
	o, err := parseOptions([]string{"-quick", "-targets", "proxy"})
	if err != nil || o.rounds != 3 || fmt.Sprint(o.targets) != "[proxy]" {
		t.Errorf("%+v, %v", o, err)
	}
}
