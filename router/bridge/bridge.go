package bridge

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state/seal"
)

// Config bounds interaction in the middle of a call. Zero fields mean the defaults.
type Config struct {
	Rounds   int           // how often one call may come back with questions; default 16
	Patience time.Duration // how long one call may spend with its client altogether; default 30 minutes

	Parking      time.Duration // how long a parked call waits for its client in each round; default 10 minutes
	Parked       int           // calls that are parked at a time; default 4096
	PerPrincipal int           // of them, by one principal; default 256
}

// Bridge lets servers of one era ask clients of the other in the middle of a call.
// Its methods may be called concurrently.
type Bridge struct {
	cfg  Config
	keys *seal.Keyring
	log  *slog.Logger
	lot  *lot
}

// New returns a bridge. What it gives to clients to bring back is sealed with keys.
func New(cfg Config, keys *seal.Keyring, log *slog.Logger) *Bridge {
	cfg.Rounds = cmp.Or(cfg.Rounds, 16)
	cfg.Patience = cmp.Or(cfg.Patience, 30*time.Minute)
	cfg.Parking = cmp.Or(cfg.Parking, 10*time.Minute)
	cfg.Parked = cmp.Or(cfg.Parked, 4096)
	cfg.PerPrincipal = cmp.Or(cfg.PerPrincipal, 256)
	return &Bridge{cfg: cfg, keys: keys, log: log, lot: newLot(cfg)}
}

// Close gives up all parked calls. It waits for what they leave behind as long as ctx
// lasts.
func (b *Bridge) Close(ctx context.Context) error { return b.lot.close(ctx) }

// Parked returns how many calls wait for their clients to come back.
func (b *Bridge) Parked() int { return b.lot.size() }

// Cross is the middleware before an upstream: what it answers and asks becomes what
// the client can read and answer. Within one era everything passes untouched.
func (b *Bridge) Cross(next rpc.Handler) rpc.Handler {
	plain := Payload(next)
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		switch {
		case !interactive(c):
			return plain.Handle(ctx, c)
		case c.Client.Era == rpc.Legacy:
			return b.ask(ctx, c, next)
		default:
			return b.park(ctx, c, next)
		}
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
