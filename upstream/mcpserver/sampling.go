package mcpserver

import (
	"encoding/json"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// lent returns a call as its link is chosen and opened for it: where the gateway samples for clients that cannot (MCP
// 2025-11-25, Sampling), a legacy server is told that this one can. That gives the client a link of its own, as every client has that
// can be asked something. What the gateway asks of its own accord, which is nobody's call, declares nothing.
func (s *Server) lent(c *rpc.Call) *rpc.Call {
	if s.cfg.Sampling == nil || c.Client.Capabilities == nil || mcp.AskingOf(c.Client.Capabilities).Sampling {
		return c
	}
	o, err := rpc.ReadObject(c.Client.Capabilities)
	if err != nil {
		return c
	}
	out := *c
	out.Client.Capabilities = o.With("sampling", json.RawMessage(`{}`))
	return &out
}
