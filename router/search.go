package router

import (
	"context"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// legacyNotFound is the code by which legacy clients know that a resource does not
// exist (MCP 2025-11-25, Resources, Error Handling).
const legacyNotFound = -32002

// search reads a resource that nothing is known of: the upstreams that may have it
// are asked one after another. The first that answers owns it from then on.
func (r *Router) search(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	view := r.views[c.Endpoint]
	candidates, failure := r.Catalog.Candidates(ctx, view, c.Client)
	var refusal *rpc.Message
	for _, upstream := range candidates {
		if r.MayRead != nil && !r.MayRead(c, upstream, c.Target.Own) {
			continue // the policies have judged a resource that was nobody's yet
		}
		try := *c
		try.Target.Upstream, try.Target.Exposed = upstream, c.Target.Own
		reply, first, err := rpc.Open(ctx, r.Upstreams[upstream], &try)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, err
		case err != nil:
			failure = err
		case first.Err == nil:
			if first.IsResponse() { // a notification may yet be followed by an error
				r.Catalog.Learn(c.Principal, c.Target.Own, upstream)
			}
			return r.expose(ctx, view, &try, reply), nil
		case refusal == nil || isNotFound(refusal):
			refusal = r.askers.response(upstream, r.Catalog.Expose(ctx, view, &try, first)).Clone() // what went wrong says more than that nothing is there
		}
		if err == nil {
			_ = reply.Close() // it has ended with its error
		}
	}
	switch {
	case refusal != nil && (failure == nil || !isNotFound(refusal)):
		return rpc.Respond(refusal), nil
	case failure != nil:
		return nil, failure
	}
	return rpc.Respond(notFound(c)), nil
}

func isNotFound(m *rpc.Message) bool {
	return m.Err.Code == legacyNotFound || m.Err.Code == mcp.CodeInvalidParams
}

// notFound says that nobody has a resource, as each era says it.
func notFound(c *rpc.Call) *rpc.Message {
	e := &rpc.WireError{Code: legacyNotFound, Message: "unknown resource " + rpc.Excerpt(c.Target.Own)}
	if c.Client.Era == rpc.Modern {
		e.Code = mcp.CodeInvalidParams
	}
	e.Data = append(rpc.AppendString([]byte(`{"uri":`), c.Target.Own), '}')
	return rpc.NewError(c.Message.ID, e)
}
