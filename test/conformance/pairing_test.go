package main

import (
	"testing"

	"github.com/headgate/headgate/test/peer"
)

// TestRoundsAreAGate keeps a suite that has lost scenarios of multi round-trip requests from passing for a gateway that
// keeps them.
func TestRoundsAreAGate(t *testing.T) {
	t.Parallel()
	modern := Pairing{Spec: "2026-07-28", Server: peer.GoSDKSuiteModern}
	across := Pairing{Spec: "2026-07-28", Server: peer.GoSDKSuiteLegacy, Across: peer.GoSDKSuiteModern}
	for _, test := range []struct {
		row    Pairing
		rounds int
		want   bool
	}{
		{modern, multiRoundCount, true},
		{modern, multiRoundCount - 1, false},
		{across, 0, true},
	} {
		if got := (Result{Pairing: test.row, Rounds: test.rounds}).OK(); got != test.want {
			t.Errorf("%s: %d scenarios: OK %t, want %t", test.row, test.rounds, got, test.want)
		}
	}
}

// TestRowsCompareWithTheSuitesOwnEra holds the direct runs of the matrix to servers of the suite's era.
func TestRowsCompareWithTheSuitesOwnEra(t *testing.T) {
	t.Parallel()
	direct := make(map[string]int) // by spec and server of the direct run
	for _, p := range pairings {
		alone := p.alone()
		if p.Across != "" && (p.Across == p.Server || p.era() == "auto") {
			t.Errorf("%s: nothing is crossed", p)
		}
		if known, ok := direct[alone.Spec+string(alone.Server)]; ok && known != p.Direct {
			t.Errorf("%s: %d checks directly, another row has %d", p, p.Direct, known)
		}
		direct[alone.Spec+string(alone.Server)] = p.Direct
		if modern := alone.Server == peer.GoSDKSuiteModern; p.Across != "" && modern != (p.Spec == "2026-07-28") {
			t.Errorf("%s: compared with %s", p, alone.Server)
		}
	}
}
