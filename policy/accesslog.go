package policy

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/telemetry"
)

// AccessLog writes one line for each call that ends, or for some. It may be used by many goroutines at once.
type AccessLog struct {
	ctx    context.Context //nolint:containedctx // of no call: there is none when a call has ended
	log    slog.Handler
	none   bool // but at debug level
	all    bool
	sample int // of those that went well, in hundredths
}

var _ rpc.Observer = (*AccessLog)(nil)

// NewAccessLog returns the access log of a configuration.
func NewAccessLog(ctx context.Context, c config.Logs, log *slog.Logger) *AccessLog {
	return &AccessLog{
		ctx: context.WithoutCancel(ctx), log: log.With(telemetry.Component(telemetry.AccessComponent)).Handler(),
		none: c.Access == "none", all: c.Access == "all", sample: int(c.Sample),
	}
}

// Begin implements [rpc.Observer].
func (*AccessLog) Begin(*rpc.Call) {}

// End implements [rpc.Observer].
func (l *AccessLog) End(c *rpc.Call) {
	outcome := c.Record.Outcome()
	ctx, level := tracedBy(l.ctx, c.Record), l.level(outcome)
	if !l.log.Enabled(ctx, level) {
		return
	}
	line := slog.NewRecord(time.Now(), level, "call", 0)
	describe(&line, c, outcome)
	_ = l.log.Handle(ctx, line) // whoever writes counts what is lost
}

// level says how important the line of a call is. At debug level there is one of each.
func (l *AccessLog) level(o rpc.Outcome) slog.Level {
	switch {
	case l.none:
		return slog.LevelDebug
	case o.Err != nil:
		return levelOf(o.Err)
	case l.all && (!o.OK() || l.sample >= 100 || rand.IntN(100) < l.sample):
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// levelOf tells our and the upstreams' failures from the client's.
func levelOf(err error) slog.Level {
	switch rpc.CodeOf(err) {
	case rpc.Internal, rpc.UpstreamDown, rpc.UpstreamFailed, rpc.UpstreamTimeout:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// tracedBy returns a context by which the line of a call that is traced says so.
func tracedBy(ctx context.Context, r *rpc.Record) context.Context {
	if !r.Trace.Sampled {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(r.Trace.ID), SpanID: trace.SpanID(r.Trace.Span), TraceFlags: trace.FlagsSampled,
	}))
}

// describe adds what is worth knowing of a call that has ended.
func describe(line *slog.Record, c *rpc.Call, o rpc.Outcome) {
	_, ended := c.Record.Times()
	var space [14]slog.Attr
	out := append(
		space[:0],
		slog.String("method", clip(c.Method.Name)), slog.String("endpoint", c.Endpoint), slog.String("status", o.String()),
		slog.Duration("duration", ended), slog.String("remote", c.Remote.String()),
	)
	switch {
	case c.Record.ID != "": // by which the client finds the call again; its own id may be anybody's
		out = append(out, slog.String("request_id", c.Record.ID))
	case !c.Message.ID.IsZero():
		out = append(out, slog.String("request_id", clip(c.Message.ID.String())))
	}
	if s := c.Client.Session; s != "" {
		out = append(out, slog.String("session_id", shortSession(s)))
	}
	switch {
	case c.Target.Upstream == "":
	case c.Target.Kind == rpc.Model:
		out = append(out, slog.String("model", named(c.Target.Canonical)), slog.String("upstream", c.Target.Upstream))
	default:
		out = append(out, slog.String("upstream", c.Target.Upstream), slog.String("target", named(c.Target.Canonical)))
	}
	if c.Record.Cached() {
		out = append(out, slog.Bool("cached", true))
	}
	out = appendAttempts(out, c.Record)
	if c.Dialect == rpc.Infer {
		out = appendModel(out, c.Record)
	}
	switch {
	case o.Err != nil:
		out = append(out, slog.String("error", clip(o.Err.Error())))
	case o.Failure != nil:
		out = append(out, slog.Int64("code", o.Failure.Code))
	}
	line.AddAttrs(out...)
}

// appendAttempts says how often upstreams were asked, how long they took, and how long the call waited for them.
func appendAttempts(out []slog.Attr, r *rpc.Record) []slog.Attr {
	var queued, took time.Duration
	n := 0
	for t := r.First(); t != nil; t = t.Next() {
		a := t.Attempt()
		queued += a.Queued
		took += max(0, a.Ended-a.Began)
		n++
	}
	if n == 0 {
		return out
	}
	out = append(out, slog.Int("attempts", n), slog.Duration("upstream_duration", took))
	if queued > 0 {
		out = append(out, slog.Duration("queue_wait", queued))
	}
	return out
}

// shortSession returns what of the gateway's own key of a session tells it from others in a log. It is no part of the id that
// the client holds.
func shortSession(key string) string { return key[:min(len(key), 12)] }
