package policy

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/headgate/headgate/rpc"
)

// AccessLog writes one line for each call that was refused or failed before it had a
// reply, and at debug level one for each call that got one.
func AccessLog(log *slog.Logger) rpc.Middleware {
	return func(next rpc.Handler) rpc.Handler {
		return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			reply, err := next.Handle(ctx, c)
			if level := levelOf(err); log.Enabled(ctx, level) {
				log.LogAttrs(ctx, level, "call", attributes(c, err)...)
			}
			return reply, err
		})
	}
}

// levelOf tells our and the upstreams' failures from the client's.
func levelOf(err error) slog.Level {
	if err == nil {
		return slog.LevelDebug
	}
	switch rpc.AsError(err).Code {
	case rpc.Internal, rpc.UpstreamDown, rpc.UpstreamFailed, rpc.UpstreamTimeout:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

func attributes(c *rpc.Call, err error) []slog.Attr {
	out := []slog.Attr{
		slog.String("method", clip(c.Method.Name)),
		slog.String("endpoint", c.Endpoint),
		slog.String("request_id", clip(c.Message.ID.String())),
		slog.String("remote", c.Remote.String()),
		slog.Duration("duration", time.Since(c.Received)),
	}
	if c.Target.Upstream != "" {
		out = append(out, slog.String("upstream", c.Target.Upstream), slog.String("target", c.Target.Canonical))
	}
	if err != nil {
		out = append(out, slog.String("error", clip(err.Error())))
	}
	return out
}

// clip bounds a field of a log, which may come from outside, to 1 KiB of printable text.
func clip(s string) string {
	if len(s) > 1024 {
		s = s[:1024] + "…"
	}
	return strings.Map(rpc.Printable, strings.ToValidUTF8(s, "\ufffd"))
}
