package gateway

import (
	"context"

	"github.com/headgate/headgate/router/model"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// modelRouter is what resolves and answers the calls of the inference dialect.
func (g *Gateway) modelRouter(n *generation) *model.Router {
	return model.New(model.Deps{
		Models: n.modelEntries(), Sees: n.seesModel,
		Jobs: g.jobHandler(), Holder: g.sessions, Open: g.openConversation,
		Info: g.info, Version: g.version, Started: g.started,
	})
}

// seesModel reports whether a caller may know of a model.
func (n *generation) seesModel(c *rpc.Call, t *rpc.Target) bool {
	return !n.filtersLists() || n.access.Sees(&c.Principal, rpc.Infer, infer.Invoke, t)
}

// openConversation opens a session of the inference dialect.
func (g *Gateway) openConversation(ctx context.Context, c *rpc.Call, _ infer.Introduction) (string, error) {
	return g.sessions.Open(ctx, c.Client, c.Principal, c.Endpoint, nil)
}
