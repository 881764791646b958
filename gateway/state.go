package gateway

import (
	"fmt"
	"path/filepath"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/state"
	"github.com/headgate/headgate/state/embedded"
)

// stateFile is what the engine of a gateway that runs alone keeps in the data
// directory.
const stateFile = "state.db"

// openState opens what remembers sessions and counts what callers use. Without a data
// directory nothing does, nor do the sealing keys of sessions outlive the process.
func (g *Gateway) openState(cfg *config.Config) error {
	if cfg.DataDir == "" {
		return nil
	}
	options := embedded.Options{Log: g.logOf("state")}
	if cfg.Cache != nil {
		options.CacheBytes = int64(cfg.Cache.MaxSize)
	}
	engine, err := embedded.Open(filepath.Join(cfg.DataDir, stateFile), options)
	if err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	g.engine = engine
	g.onStop("state", engine.Close)
	return nil
}

// rememberedSessions is the engine's part for sessions; nil without an engine.
func (g *Gateway) rememberedSessions() state.Sessions {
	if g.engine == nil {
		return nil
	}
	return g.engine.Sessions()
}
