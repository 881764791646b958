package main

import (
	"context"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/telemetry"
)

// openLogs opens the log of a gateway. It must be closed when the gateway has stopped.
func (a *app) openLogs(ctx context.Context, cfg *config.Config, format string) (*telemetry.Logs, error) {
	c := cfg.Telemetry.Logs
	to := telemetry.LogConfig{
		Level: c.Level, Format: format, To: a.err, OTLP: c.OTLP, Secrets: cfg.Secrets(), Version: buildOf().Version,
	}
	if c.File != nil {
		to.File = &telemetry.LogFile{Path: c.File.Path, Keep: c.File.Keep}
	}
	return telemetry.OpenLogs(ctx, to)
}
