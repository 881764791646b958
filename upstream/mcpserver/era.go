package mcpserver

import (
	"errors"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// eras is what is known of the eras an upstream speaks. It is a property of the
// server, so it outlives links (MCP 2026-07-28, Versioning).
type eras struct {
	modern, legacy bool
	tentative      bool // inferred from what the server does not speak; not yet tried
	// sessionless is a server of both eras whose legacy handshake opens no session over HTTP. It serves legacy
	// clients, but could not ask them anything: an answer would not find the call it is for.
	sessionless bool
}

// errSessionless says that a client which can be asked is better served in the other era.
var errSessionless = errors.New("it opens no session in which it could ask")

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

// serve returns the era to speak for a call: its client's own, but for clients that a server which has no
// sessions could not ask. It asks them in the modern way, and the bridge translates. A tool that runs as a
// task is called in the era that has tasks, if the client does not have them in its own.
func (e *eras) serve(c *rpc.Call) rpc.Era {
	switch {
	case e.sessionless && mcp.Features(declared(c.Client)) != "":
		return rpc.Modern
	case c.Target.Task && e.legacy && !mcp.Declares(c.Client.Capabilities, mcp.TasksExtension):
		return rpc.Legacy
	}
	return e.pick(c.Client.Era)
}

// withoutSession notes what a legacy link tells of a server that also speaks the other era: that there is no session
// in which it could ask. It reports whether the link is of no use for that.
func (s *Server) withoutSession(known *eras, l link) bool {
	session, http := l.(*legacyHTTP)
	if known == nil || !known.modern || !http || session.session != "" {
		return false
	}
	s.eras.CompareAndSwap(known, &eras{modern: true, legacy: true, sessionless: true})
	return true
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
