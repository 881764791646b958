package bridge

import (
	"context"
	"log/slog"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Config bounds interaction in the middle of a call. Zero fields mean the defaults.
type Config struct {
	Rounds   int           // how often one call may come back with questions; default 16
	Patience time.Duration // how long one call may spend with its client altogether; default 30 minutes
}

// Bridge lets servers of one era ask clients of the other in the middle of a call.
// Its methods may be called concurrently.
type Bridge struct {
	cfg Config
	log *slog.Logger
}

// New returns a bridge.
func New(cfg Config, log *slog.Logger) *Bridge {
	if cfg.Rounds == 0 {
		cfg.Rounds = 16
	}
	if cfg.Patience == 0 {
		cfg.Patience = 30 * time.Minute
	}
	return &Bridge{cfg: cfg, log: log}
}

// Cross is the middleware before an upstream: what it answers and asks becomes what
// the client can read and answer. Within one era everything passes untouched.
func (b *Bridge) Cross(next rpc.Handler) rpc.Handler {
	plain := Payload(next)
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if c.Client.Era == rpc.Legacy && interactive(c) {
			return b.ask(ctx, c, next)
		}
		return plain.Handle(ctx, c)
	})
}

// interactive reports whether the answer to a call may be that input is required (MCP
// 2026-07-28, Multi Round-Trip Requests).
func interactive(c *rpc.Call) bool {
	switch c.Method.Name {
	case mcp.ToolsCall, mcp.PromptsGet, mcp.ResourcesRead:
		return c.Message.IsRequest()
	}
	return false
}
