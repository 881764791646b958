package statetest

import (
	"testing"
	"time"

	"github.com/headgate/headgate/state"
)

// Subject is an engine under test.
type Subject struct {
	Quota state.Quota
	Jobs  state.Jobs
	Cache state.Cache
	Bus   state.Bus
	Logs  state.Logs
	Clock state.Clock
	Said  state.Conversations
	// Restart ends the engine in an orderly way and opens another on what it left, in
	// its place: holds and whoever ran jobs are gone. It is nil where an engine goes on.
	Restart func()
	Advance func(time.Duration) // has that much time pass for the engine, and what is due then happen
}

// Open runs a test with a fresh engine.
type Open func(t *testing.T, test func(t *testing.T, s *Subject))

// runAll runs tests side by side, each with an engine of its own.
func runAll(t *testing.T, open Open, tests map[string]func(t *testing.T, s *Subject)) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open(t, test)
		})
	}
}
