package policy

import (
	"context"
	"log/slog"
	"slices"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/telemetry"
)

// Messages writes the messages of clients, and those that they get, to the log, at debug level: without secrets, and of each
// its beginning. Where that level is not written, it is no part of a call's way.
func Messages(log *slog.Logger) rpc.Middleware {
	log = log.With(telemetry.Component("message"))
	return func(next rpc.Handler) rpc.Handler {
		return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			shown := &shown{ctx: ctx, log: log, about: []slog.Attr{
				slog.String("session_id", shortSession(c.Client.Session)), slog.String("request_id", clip(c.Message.ID.String())),
				slog.String("method", clip(c.Method.Name)),
			}}
			shown.show("from client", c.Message)
			reply, err := next.Handle(ctx, c)
			if err != nil {
				return nil, err
			}
			shown.Reply = reply
			out := rpc.NewReply(shown)
			out.Header, out.Revision = reply.Header, reply.Revision
			return out, nil
		})
	}
}

// shown is a reply whose messages are written to the log.
type shown struct {
	*rpc.Reply
	ctx   context.Context //nolint:containedctx // the call's
	log   *slog.Logger
	about []slog.Attr
}

// Next implements [rpc.Source].
func (s *shown) Next() (*rpc.Message, error) {
	m, err := s.Reply.Next()
	if err == nil {
		s.show("to client", m)
	}
	return m, err
}

// Answer implements [rpc.Source].
func (s *shown) Answer(m *rpc.Message) error {
	s.show("from client", m)
	return s.Reply.Answer(m)
}

func (s *shown) show(direction string, m *rpc.Message) {
	out := append(slices.Clip(s.about), slog.String("direction", direction), slog.Int("bytes", m.Size()))
	s.log.LogAttrs(s.ctx, slog.LevelDebug, "message", append(out, telemetry.Raw(m))...)
}
