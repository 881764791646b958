package mcpserver

import (
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
// be found out.
func pinnedEras(pin string) *eras {
	switch pin {
	case "legacy":
		return &eras{legacy: true}
	case "modern":
		return &eras{modern: true}
	}
	return nil
}
