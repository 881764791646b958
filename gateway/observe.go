package gateway

import (
	"context"
	"fmt"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/telemetry"
)

// observers are those who are told of each call: who traces comes before the others, so that they can name the trace.
func (n *generation) observers(others []rpc.Observer) []rpc.Observer {
	if n.tracer == nil {
		return others
	}
	return append([]rpc.Observer{n.tracer}, others...)
}

// openTraces makes what sends spans away, if anything does. It outlives everything that has some.
func (g *Gateway) openTraces(ctx context.Context, cfg *config.Config) (err error) {
	traces := cfg.Telemetry.Traces
	if traces == nil {
		return nil
	}
	headers := make(map[string]string, len(traces.Headers))
	for name, value := range traces.Headers {
		headers[name] = value.Reveal()
	}
	g.spans, err = telemetry.NewExporter(ctx, telemetry.ExporterConfig{URL: traces.OTLP, Headers: headers, Version: g.version, Log: g.log})
	if err != nil {
		return fmt.Errorf("telemetry.traces: %w", err)
	}
	g.onStop("traces", g.spans.Close)
	return nil
}

// newTracer returns what traces the calls of a configuration; nil if nothing does.
func (g *Gateway) newTracer(cfg *config.Config) *telemetry.Tracer {
	traces := cfg.Telemetry.Traces
	if traces == nil || g.spans == nil {
		return nil
	}
	return telemetry.NewTracer(telemetry.TracerConfig{
		Sample: float64(traces.Sample) / 100, TrustClients: traces.TrustClients, Export: g.spans.Export,
		Status: func(d rpc.Dialect, e *rpc.Error) int64 {
			if d == rpc.Infer {
				return infer.ErrorCode(e.Code)
			}
			return mcp.Failure(e).Code
		},
	})
}
