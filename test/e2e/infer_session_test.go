package e2e

import (
	"testing"

	"github.com/headgate/headgate/test/e2e/dialect"
	"github.com/headgate/headgate/test/fake/engine"
)

// modelOf writes the configuration of a model that an engine serves.
func modelOf(e *engine.Server) string {
	return "models:\n  sim: {backends: [{kind: openai, url: \"" + e.URL + "/v1\"}]}\n"
}

// TestInferSession drives a whole session over each transport.
func TestInferSession(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{TokenRate: 200, Slots: 4})
	g := startGateway(t, modelOf(e))
	dialect.Session(t, dialect.Target{URL: endpoint(g, "/rpc"), Model: "sim"})
	const most = 400 // of what runs for a second at the longest
	for _, r := range e.Ledger() {
		if r.Output > most {
			t.Errorf("nobody waited any more, and the engine went on for %d tokens", r.Output)
		}
	}
}
