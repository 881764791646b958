package router

import (
	"context"

	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Resolve finds what a call is about and writes it into the call's target. Calls
// whose method has no owner pass.
func (r *Router) Resolve(next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if err := r.Locate(ctx, c); err != nil && (r.Relocate == nil || !r.Relocate(ctx, c)) {
			return nil, err
		}
		return next.Handle(ctx, c)
	})
}

// Locate finds what a call is about as [Router.Resolve] does, without making it.
func (r *Router) Locate(ctx context.Context, c *rpc.Call) error {
	view := r.views[c.Endpoint]
	if view == nil {
		return rpc.Errorf(rpc.NoEndpoint, "no endpoint has the path %s", rpc.Excerpt(c.Endpoint))
	}
	if c.Method.Dest == rpc.Owner {
		if err := r.resolve(ctx, view, c); err != nil {
			return err
		}
		c.Target.Merged = !view.Single
		if r.Routes != nil {
			if err := r.route(ctx, c); err != nil {
				return err
			}
		}
		c.Record.Note(rpc.Routed, c.Target.Upstream, 0)
	}
	return nil
}

func (r *Router) resolve(ctx context.Context, view *catalog.View, c *rpc.Call) error {
	find := r.owners[c.Method.Name]
	switch {
	case find != nil:
		target, err := find(ctx, view, c)
		if err != nil {
			return err
		}
		c.Target = *target
		c.Target.Exposed, _ = c.Message.Text(string(c.Method.Subject))
	case view.Single:
		c.Target = rpc.Target{Upstream: view.Upstreams[0]}
	}
	return nil // on a merged endpoint nobody owns the rest, which dispatch says
}

// finder finds what a call of one method is about.
type finder func(ctx context.Context, view *catalog.View, c *rpc.Call) (*rpc.Target, error)

func (r *Router) tool(ctx context.Context, view *catalog.View, c *rpc.Call) (*rpc.Target, error) {
	name, err := subject(c)
	if err != nil {
		return nil, err
	}
	target, err := r.Catalog.ResolveTool(ctx, view, c.Client, name)
	if err == nil && c.Client.Era == rpc.Modern && !c.Bare {
		err = mcp.CheckParams(c.Header, c.Message, target.ParamHeaders)
	}
	return target, err
}

func (r *Router) prompt(ctx context.Context, view *catalog.View, c *rpc.Call) (*rpc.Target, error) {
	name, err := subject(c)
	if err != nil {
		return nil, err
	}
	return r.Catalog.ResolvePrompt(ctx, view, c.Client, name)
}

func (r *Router) resource(ctx context.Context, view *catalog.View, c *rpc.Call) (*rpc.Target, error) {
	uri, err := subject(c)
	if err != nil {
		return nil, err
	}
	return r.Catalog.ResolveURI(ctx, view, c.Client, c.Principal, uri), nil
}

// Resource finds the resource that a client means by a URI, for who deals in more
// than the one that a call is about. One that nothing is known of is its who alone can have
// it; else the target has no upstream.
func (r *Router) Resource(ctx context.Context, c *rpc.Call, uri string) *rpc.Target {
	view := r.views[c.Endpoint]
	target := r.Catalog.ResolveURI(ctx, view, c.Client, c.Principal, uri)
	if target.Upstream == "" {
		if all, _ := r.Catalog.Candidates(ctx, view, c.Client); len(all) == 1 {
			return catalog.ResourceOf(all[0], target.Own)
		}
	}
	return target
}

func subject(c *rpc.Call) (string, error) {
	name, ok := c.Message.Text(string(c.Method.Subject))
	if !ok {
		return "", rpc.Errorf(rpc.InvalidParams, "params.%s must be a string", c.Method.Subject)
	}
	return name, nil
}
