package main

import (
	"log/slog"
	"testing"

	"github.com/headgate/headgate/test/peer"
)

// TestHeadgate runs the whole matrix: no check that succeeds directly is lost through Headgate, but for what
// baseline.yml lists.
func TestHeadgate(t *testing.T) {
	t.Parallel()
	peer.Installed(t)
	runner, err := newRunner(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pairings {
		t.Run(p.String(), func(t *testing.T) {
			result, err := runner.Run(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d checks in %d scenarios directly, %d through Headgate", p.Direct, result.Scenarios, result.Through)
			for _, l := range result.Lost {
				t.Errorf("lost: %s / %s ×%d: %s", l.Scenario, l.ID, l.Times, l.Said)
			}
			if result.Rounds < p.rounds() {
				t.Errorf("%d of %d scenarios of multi round-trip requests are kept whole", result.Rounds, p.rounds())
			}
			for _, u := range result.Passed {
				t.Errorf("kept, but in baseline.yml: %s %s", u.Scenario, u.ID)
			}
		})
	}
}
