package gateway

import (
	"context"
	"log/slog"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/telemetry"
)

// logCalls makes calls be logged, and their messages where the configuration wants to see them. It comes before the chain of
// policies is made.
func (g *Gateway) logCalls(ctx context.Context, c config.Logs) {
	g.observers = append(g.observers, policy.NewAccessLog(ctx, c, g.written))
	if g.messages = pass; c.Messages && g.written.Enabled(ctx, slog.LevelDebug) {
		g.messages = policy.Messages(g.written)
	}
}

// logOf returns the log of a part of the gateway.
func (g *Gateway) logOf(component string) *slog.Logger {
	return g.log.With(telemetry.Component(component))
}
