package mcpserver

import (
	"context"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// usualLevel is taken for the level of clients that never set one, on a connection
// on which others did.
const usualLevel = "info"

// setLevelTimeout bounds how long a call waits until the server has been told how
// much to log.
const setLevelTimeout = 5 * time.Second

// raise makes a legacy server log as much as a call wants to see (MCP 2025-11-25,
// Logging). The level belongs to the connection and only ever rises, since others
// may share it: what a client did not ask for is held back on the way.
func (s *Server) raise(ctx context.Context, l link, c *rpc.Call) {
	h := l.hop()
	wanted := int32(mcp.Severity(c.Client.LogLevel))
	if wanted == 0 || h.era == rpc.Modern {
		return
	}
	for {
		told := h.level.Load()
		if told != 0 && told <= wanted || !l.description().has("logging") {
			return
		}
		if h.level.CompareAndSwap(told, wanted) {
			break
		}
	}
	ctx, cancel := context.WithTimeout(ctx, setLevelTimeout)
	defer cancel()
	params := append(rpc.AppendString([]byte(`{"level":`), c.Client.LogLevel), '}')
	m, err := ask(ctx, l, rpc.NewRequest(rpc.NumberID(0), mcp.SetLevel, params))
	if err == nil && m.Err != nil {
		err = m.Err
	}
	if err != nil {
		s.log.DebugContext(ctx, "log level was not taken", "error", err.Error())
	}
}

// takeLog decides whether the client sees a log message. Modern clients see what
// they ask for in the request (MCP 2026-07-28, Logging), legacy ones what they set for their
// session; before that the server decides.
func (x *exchange) takeLog(m *rpc.Message) verdict {
	client := &x.call.Client
	least := mcp.Severity(client.LogLevel)
	switch {
	case least > 0:
	case client.Era == rpc.Modern:
		return discard
	case x.hop.level.Load() > 0:
		least = mcp.Severity(usualLevel)
	}
	level, _ := m.Text("level")
	if severity := mcp.Severity(level); severity > 0 && severity < least {
		return discard
	}
	if target := &x.call.Target; target.Merged {
		nameLogger(m, target.Upstream)
	}
	return relay
}

// nameLogger puts the upstream's name before the logger's, since two upstreams may have loggers of one name.
func nameLogger(m *rpc.Message, upstream string) {
	name := upstream
	if logger, ok := m.Text("logger"); ok {
		name += "/" + logger
	}
	m.Set("logger", rpc.AppendString(nil, name))
}
