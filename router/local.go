package router

import (
	"context"
	"encoding/json"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// discoverTTL is how long a client may keep what server/discover says. It changes
// with the configuration and with what single upstreams declare.
const discoverTTL = time.Minute

// initialize answers a legacy client's handshake (MCP 2025-11-25, Lifecycle).
func (r *Router) initialize(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	view := r.views[c.Endpoint]
	summary := r.Catalog.Summarize(ctx, view)
	return respond(c, struct {
		Version      rpc.Revision    `json:"protocolVersion"`
		Capabilities capabilities    `json:"capabilities"`
		Info         json.RawMessage `json:"serverInfo"`
		Instructions string          `json:"instructions,omitempty"`
	}{c.Client.Revision, offered(view, summary.Capabilities, rpc.Legacy), r.Info, summary.Instructions})
}

// discover tells a modern client what is here (MCP 2026-07-28, Discovery).
func (r *Router) discover(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	view := r.views[c.Endpoint]
	summary := r.Catalog.Summarize(ctx, view)
	return respond(c, struct {
		Type         string                     `json:"resultType"`
		Versions     []rpc.Revision             `json:"supportedVersions"`
		Capabilities capabilities               `json:"capabilities"`
		Instructions string                     `json:"instructions,omitempty"`
		TTL          int64                      `json:"ttlMs"`
		Scope        string                     `json:"cacheScope"`
		Meta         map[string]json.RawMessage `json:"_meta"`
	}{
		"complete", mcp.Supported(), offered(view, summary.Capabilities, rpc.Modern), summary.Instructions,
		discoverTTL.Milliseconds(), "private",
		map[string]json.RawMessage{mcp.MetaServerInfo: r.Info},
	})
}

// ping answers for the gateway; whether upstreams live is not the client's to ask.
func (*Router) ping(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
	return rpc.Respond(rpc.NewResult(c.Message.ID, []byte("{}"))), nil
}

func (r *Router) list(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	result, err := r.Catalog.List(ctx, r.views[c.Endpoint], c)
	if err != nil {
		return nil, err
	}
	return rpc.Respond(rpc.NewResult(c.Message.ID, result)), nil
}

func (r *Router) subscriptions(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	return r.Subscriptions.Handle(ctx, c)
}

func respond(c *rpc.Call, result any) (*rpc.Reply, error) {
	text, err := json.Marshal(result)
	if err != nil {
		return nil, &rpc.Error{Code: rpc.Internal, Message: "internal error", Cause: err}
	}
	return rpc.Respond(rpc.NewResult(c.Message.ID, text)), nil
}
