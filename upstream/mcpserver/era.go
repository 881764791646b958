package mcpserver

import (
	"errors"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// eras is what is known of the eras an upstream speaks. It is a property of the
// server, so it outlives links (MCP 2026-07-28, Versioning).
type eras struct {
	modern, legacy bool
	tentative      bool // inferred from what the server does not speak; not yet tried
}

// pick returns the era to speak for a client: its own where the upstream can, since
// nothing has to be converted then.
func (e *eras) pick(client rpc.Era) rpc.Era {
	switch {
	case !e.modern:
		return rpc.Legacy
	case !e.legacy:
		return rpc.Modern
	}
	return client
}

// pinnedEras returns what the configuration says of the eras; nil if it leaves them to
// be found out. HTTP+SSE is older than the modern era, which does not have it.
func pinnedEras(cfg config.Upstream) (*eras, error) {
	switch {
	case cfg.Era == "modern" && cfg.Transport == overSSE:
		return nil, errors.New("transport sse is of the legacy era")
	case cfg.Era == "modern":
		return &eras{modern: true}, nil
	case cfg.Era == "legacy", cfg.Transport == overSSE:
		return &eras{legacy: true}, nil
	}
	return nil, nil //nolint:nilnil // nothing is pinned
}
