package gateway

import (
	"context"
	"log/slog"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/telemetry"
)

// openJournal begins to keep what clients may read of the log. Lines of calls, and the messages that the log may show, are not
// in it: of calls it keeps what their clients may know.
func (g *Gateway) openJournal(c *config.Config) {
	g.written = g.log
	g.journal = telemetry.NewJournal(c.Telemetry.Logs.Level, c.Secrets()...)
	g.log = slog.New(slog.NewMultiHandler(g.log.Handler(), g.journal.Handler()))
	g.observers = append(g.observers, g.journal)
}

// serveLogs answers logs: with the entries of the caller's tenant, or of all where a scope says so.
func (g *Gateway) serveLogs(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	q, err := infer.ReadLogs(c.Message)
	if err != nil {
		return nil, err
	}
	p := &c.Principal
	filter := telemetry.JournalFilter{
		Request: q.RequestID, Tenant: telemetry.TenantOf(p.Org, p.Key, p.User), All: auth.Covers(p.Scopes, "logs", "all"),
	}
	if err := filter.Level.UnmarshalText([]byte(q.Level)); err != nil {
		return nil, rpc.Errorf(rpc.InvalidParams, "params.level must be debug, info, warn or error")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	return rpc.NewReply(&entries{reader: g.journal.Read(filter, q.Tail, q.Follow), ctx: ctx, cancel: cancel}), nil
}

// entries is the reply to logs. It has no response: it ends.
type entries struct {
	reader *telemetry.JournalReader
	ctx    context.Context //nolint:containedctx // which governs the reply, ended by Close
	cancel context.CancelCauseFunc
}

// Next implements [rpc.Source].
func (e *entries) Next() (*rpc.Message, error) {
	text, err := e.reader.Next(e.ctx)
	if err != nil {
		return nil, err
	}
	return infer.NewEntry(text), nil
}

// Answer implements [rpc.Source].
func (*entries) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }

// Close implements [rpc.Source].
func (e *entries) Close() error {
	e.cancel(rpc.Errorf(rpc.Cancelled, "nobody reads the log any more"))
	return nil
}
