package gateway

import (
	"fmt"
	"path/filepath"

	"github.com/headgate/headgate/state"
	"github.com/headgate/headgate/state/embedded"
)

// stateFile is what the engine of a gateway that runs alone keeps in the data
// directory.
const stateFile = "state.db"

// openSessions opens what remembers sessions. Without a data directory nothing does,
// nor do their sealing keys outlive the process.
func (g *Gateway) openSessions() (state.Sessions, error) {
	if g.cfg.DataDir == "" {
		return nil, nil //nolint:nilnil // no store is one of the choices, not a missing value
	}
	engine, err := embedded.Open(filepath.Join(g.cfg.DataDir, stateFile), embedded.Options{Log: g.log})
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	g.onStop("state", engine.Close)
	return engine.Sessions(), nil
}
