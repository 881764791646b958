package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReadRun reads results as the suite wrote them: successes are counted, and what was said of the rest is kept.
func TestReadRun(t *testing.T) {
	t.Parallel()
	got, err := readRun("testdata/run")
	if err != nil {
		t.Fatal(err)
	}
	want := Run{
		Succeeded: map[Check]int{
			{"http-header-validation", "sep-2243-header-name-case-insensitive"}:           2,
			{"http-header-validation", "sep-2243-server-accepts-whitespace-header-value"}: 1,
			{"http-header-validation", "sep-2243-server-reject-error-code"}:               5,
			{"http-header-validation", "sep-2243-server-reject-invalid-headers"}:          5,
			{"http-header-validation", "wire-schema-valid"}:                               1,
			{"server-sse-polling", "server-sse-retry-field"}:                              1,
			{"tools-call-sampling", "wire-schema-valid"}:                                  1,
			{"tools-list", "tools-list"}:                                                  1,
			{"tools-list", "tools-name-format"}:                                           1,
			{"tools-list", "wire-schema-valid"}:                                           1,
		},
		Said: map[Check]string{
			{"server-session-lifecycle", "server-session-lifecycle-skipped"}: "INFO: Server did not return an MCP-Session-Id header; session lifecycle does not apply.",
			{"server-sse-polling", "incoming-response"}:                      "INFO",
			{"server-sse-polling", "outgoing-request"}:                       "INFO",
			{"server-sse-polling", "server-sse-disconnect-resume"}:           "INFO: Could not test disconnect/resume - no last event ID or session ID available",
			{"server-sse-polling", "server-sse-polling-session"}:             "WARNING: Server did not provide session ID - SSE polling tests may not work correctly",
			{"server-sse-polling", "server-sse-priming-event"}:               "WARNING: Server did not send priming event with id and empty data on POST SSE stream. This is recommended for resumability.",
			{"server-sse-polling", "stream-closed"}:                          "INFO",
			{"tools-call-sampling", "tools-call-sampling"}:                   "FAILURE: Server did not request sampling from client",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recorded run (-want +got):\n%s", diff)
	}
	if got.Total() != 19 || got.Scenarios() != 4 {
		t.Errorf("%d checks in %d scenarios, want 19 in 4", got.Total(), got.Scenarios())
	}
}

func TestReadRunOfNothing(t *testing.T) {
	t.Parallel()
	if _, err := readRun(t.TempDir() + "/absent"); err == nil {
		t.Error("no error for a run without results")
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	a, b := Check{"s", "a"}, Check{"s", "b"}
	tests := map[string]struct {
		direct, through Run
		want            []Loss
	}{
		"nothing lost": {
			direct:  Run{Succeeded: map[Check]int{a: 2}},
			through: Run{Succeeded: map[Check]int{a: 2}},
		},
		"more through the gateway than directly": {
			direct:  Run{Succeeded: map[Check]int{a: 1}},
			through: Run{Succeeded: map[Check]int{a: 3, b: 1}},
		},
		"a check that was not made is lost": {
			direct:  Run{Succeeded: map[Check]int{a: 1}},
			through: Run{},
			want:    []Loss{{Check: a, Times: 1}},
		},
		"some of several times, sorted, with what was said": {
			direct:  Run{Succeeded: map[Check]int{b: 1, a: 5}},
			through: Run{Succeeded: map[Check]int{a: 3}, Said: map[Check]string{b: "no"}},
			want:    []Loss{{Check: a, Times: 2}, {Check: b, Times: 1, Said: "no"}},
		},
		"what fails directly is not asked for": {
			direct:  Run{Succeeded: map[Check]int{a: 1}, Said: map[Check]string{b: "no"}},
			through: Run{Succeeded: map[Check]int{a: 1}, Said: map[Check]string{b: "no"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, compare(tt.direct, tt.through)); diff != "" {
				t.Errorf("losses (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReplaceTakesOneScenario(t *testing.T) {
	t.Parallel()
	run := Run{
		Succeeded: map[Check]int{{"kept", "a"}: 1, {"again", "a"}: 1},
		Said:      map[Check]string{{"again", "b"}: "late"},
	}
	run.replace("again", Run{Succeeded: map[Check]int{{"again", "b"}: 1}})
	want := Run{
		Succeeded: map[Check]int{{"kept", "a"}: 1, {"again", "b"}: 1},
		Said:      map[Check]string{},
	}
	if diff := cmp.Diff(want, run); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
}

func TestWholeCountsScenariosThatLoseNothing(t *testing.T) {
	t.Parallel()
	run := Run{Succeeded: map[Check]int{{"p-kept", "a"}: 1, {"p-kept", "b"}: 2, {"p-lost", "a"}: 1, {"p-lost", "b"}: 1, {"other", "a"}: 1}}
	if got := run.whole("p-", []Loss{{Check: Check{"p-lost", "b"}, Times: 1}}); got != 1 {
		t.Errorf("%d scenarios, want 1", got)
	}
}
