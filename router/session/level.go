package session

import (
	"context"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// setLevel notes which log messages the client wants from now on (MCP 2025-11-25,
// Logging). The servers it calls are told with the next call.
func (s *Session) setLevel(ctx context.Context, m *rpc.Message) (*rpc.Reply, error) {
	level, ok := m.Text("level")
	if !ok || mcp.Severity(level) == 0 {
		text, _ := m.Get("level")
		return nil, rpc.Errorf(rpc.InvalidParams, "params.level is no log level: %s", rpc.Excerpt(string(text)))
	}
	if err := s.registry.cfg().Store.SetLevel(ctx, s.client.Session, level, s.registry.until(s.created)); err != nil {
		return nil, notWritten("the level", err)
	}
	s.level.Store(&level)
	return rpc.Respond(rpc.NewResult(m.ID, []byte("{}"))), nil
}
