package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBaselineFileIsValid(t *testing.T) {
	t.Parallel()
	if _, err := readBaseline(baselineFile); err != nil {
		t.Error(err)
	}
}

func TestReadBaseline(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want []Expected
		err  string
	}{
		"empty file": {in: "# nothing\n"},
		"empty list": {in: "[]", want: []Expected{}},
		"full": {
			in: "- {scenario: s, checks: [a, b], specs: [\"2025-11-25\"], servers: [x], fixture: f, reason: later}",
			want: []Expected{{
				Scenario: "s", Checks: []string{"a", "b"}, Specs: []string{"2025-11-25"}, Servers: []string{"x"}, Fixture: "f", Reason: "later",
			}},
		},
		"without a reason": {in: "- {scenario: s, fixture: f}", err: "needs a scenario and a reason"},
		"for no cause":     {in: "- {scenario: s, reason: r}", err: "s: the entry needs either"},
		"for two causes":   {in: "- {scenario: s, fixture: f, feature: g, reason: r}", err: "s: the entry needs either"},
		"unknown member":   {in: "- {scenario: s, reason: r, fixture: f, until: tomorrow}", err: "until"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readBaseline([]byte(tt.in))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q in it", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	a, b, c := Check{"s", "a"}, Check{"s", "b"}, Check{"other", "c"}
	direct := Run{Succeeded: map[Check]int{a: 1, b: 1, c: 1}}
	lose := func(checks ...Check) []Loss {
		var out []Loss
		for _, check := range checks {
			out = append(out, Loss{Check: check, Times: 1})
		}
		return out
	}
	tests := map[string]struct {
		entry          Expected
		within         bool // one era
		losses         []Loss
		expected, lost []Loss
		passed         []Unexpected
	}{
		"a loss outside of the baseline": {
			entry: Expected{Scenario: "s"}, losses: lose(a, c),
			expected: lose(a), lost: lose(c),
		},
		"a named check does not excuse its neighbour": {
			entry: Expected{Scenario: "s", Checks: []string{"a"}}, losses: lose(a, b),
			expected: lose(a), lost: lose(b),
		},
		"a scenario that loses nothing": {
			entry: Expected{Scenario: "s"}, losses: nil,
			passed: []Unexpected{{Scenario: "s"}},
		},
		"one of two named checks is kept": {
			entry: Expected{Scenario: "s", Checks: []string{"a", "b"}}, losses: lose(a),
			expected: lose(a), passed: []Unexpected{{Scenario: "s", ID: "b"}},
		},
		"an entry of another revision neither excuses nor passes": {
			entry: Expected{Scenario: "s", Specs: []string{"2026-07-28"}}, losses: lose(a),
			lost: lose(a),
		},
		"an entry of another server": {
			entry: Expected{Scenario: "s", Servers: []string{"y"}}, losses: lose(a),
			lost: lose(a),
		},
		"within one era nothing is excused": {
			entry: Expected{Scenario: "s"}, within: true, losses: lose(a),
			lost: lose(a),
		},
		"an entry whose scenario this pairing does not have": {
			entry: Expected{Scenario: "absent"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pairing := Pairing{Spec: "2025-11-25", Server: "x", Across: "z"}
			if tt.within {
				pairing.Across = ""
			}
			expected, lost, passed := judge([]Expected{tt.entry}, pairing, direct, tt.losses)
			if diff := cmp.Diff(tt.expected, expected); diff != "" {
				t.Errorf("expected losses (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.lost, lost); diff != "" {
				t.Errorf("lost (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.passed, passed); diff != "" {
				t.Errorf("unexpected passes (-want +got):\n%s", diff)
			}
		})
	}
}
