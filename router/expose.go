package router

import (
	"context"
	"encoding/json"

	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// expose returns a reply whose response names things as the endpoint does.
func (r *Router) expose(ctx context.Context, view *catalog.View, c *rpc.Call, reply *rpc.Reply) *rpc.Reply {
	out := rpc.NewReply(&exposed{Reply: reply, catalog: r.Catalog, askers: r.askers, info: r.Info, ctx: ctx, view: view, call: c})
	out.Header, out.Revision = reply.Header, reply.Revision
	return out
}

// exposed is a reply of an upstream on its way to a client of a merged endpoint.
type exposed struct {
	*rpc.Reply
	catalog *catalog.Catalog
	askers  *askers
	info    json.RawMessage // the gateway's own Implementation object
	ctx     context.Context //nolint:containedctx // which governs the reply
	view    *catalog.View
	call    *rpc.Call
}

// Next implements [rpc.Source].
func (e *exposed) Next() (*rpc.Message, error) {
	m, err := e.Reply.Next()
	switch {
	case err != nil:
		return nil, err
	case m.IsRequest():
		e.askers.question(e.call.Target.Upstream, m)
		return m, nil
	case !m.IsResponse():
		return m, nil
	case e.call.Method.Name == mcp.Complete:
		return fewer(m), nil
	}
	// To its client the endpoint is one server; what another says of itself, such as icons from its own origin, is not
	// said of this one (MCP 2026-07-28, Basic, _meta).
	if _, said := m.Meta(mcp.MetaServerInfo); said {
		m.SetMeta(mcp.MetaServerInfo, e.info)
	}
	m = e.catalog.Expose(e.ctx, e.view, e.call, m)
	return e.askers.response(e.call.Target.Upstream, m), nil
}
