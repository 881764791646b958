package router

import (
	"context"
	"encoding/json"

	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/router/route"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Deps is what a router passes calls to.
type Deps struct {
	Catalog   *catalog.Catalog
	Upstreams map[string]rpc.Handler // by name, below the policies
	// Relocate finds what a call is about that is about nothing here, where it goes on with one that began when it was. It
	// writes that into the call's target and reports whether it did.
	Relocate func(ctx context.Context, c *rpc.Call) bool
	// Former returns the handler of an upstream that is not one any more, for calls that go on with one that began
	// when it was; nil if there is none.
	Former        func(name string) rpc.Handler
	Holder        rpc.Handler       // of sessions and calls in flight
	Subscriptions rpc.Handler       // of those who want to hear what changes
	Keys          Sealer            // of the ids of tasks
	Info          json.RawMessage   // the gateway's own Implementation object
	Titles        map[string]string // what users are told the upstreams are called, by name
	// MayRead reports whether a caller may read a resource that an upstream calls own. Nil lets everybody.
	MayRead func(c *rpc.Call, upstream, own string) bool
	// Routes are the rules that send calls elsewhere than to who owns the name; nil if there are none.
	Routes *route.Table
	// Mirrors make the calls that rules copy. It may be nil where there are no rules.
	Mirrors *route.Mirrors
	// Holder of what a call goes on with: the upstream where that waits or that it is meant for; empty if the call begins something.
	Holds func(c *rpc.Call) string
}

// Router resolves and dispatches the calls of all endpoints. It is immutable and
// may be used by many goroutines at once.
type Router struct {
	Deps
	views  map[string]*catalog.View
	local  map[string]rpc.HandlerFunc
	owners map[string]finder
	askers *askers

	destinations map[string]*catalog.View // of rules: each upstream as itself, whatever endpoints show
}

var _ rpc.Handler = (*Router)(nil)

// New returns a router for the views, each of which is one endpoint.
func New(views []catalog.View, deps Deps) *Router {
	r := &Router{Deps: deps, views: make(map[string]*catalog.View, len(views)), askers: newAskers(deps.Titles)}
	for i := range views {
		r.views[views[i].Endpoint] = &views[i]
	}
	if deps.Routes != nil && len(views) > 0 {
		r.destinations = destinationsOf(deps.Upstreams, &views[0])
	}
	r.local = map[string]rpc.HandlerFunc{
		mcp.Initialize:    r.initialize,
		mcp.Discover:      r.discover,
		mcp.Ping:          r.ping,
		mcp.ToolsList:     r.list,
		mcp.PromptsList:   r.list,
		mcp.ResourcesList: r.list,
		mcp.TemplatesList: r.list,
		mcp.Listen:        r.subscriptions,
		mcp.Subscribe:     r.subscriptions,
		mcp.Unsubscribe:   r.subscriptions,
	}
	r.owners = map[string]finder{
		mcp.ToolsCall:     r.tool,
		mcp.PromptsGet:    r.prompt,
		mcp.ResourcesRead: r.resource,
		mcp.Complete:      r.reference,
		mcp.TasksGet:      r.task,
		mcp.TasksUpdate:   r.task,
		mcp.TasksCancel:   r.task,
	}
	return r
}

// Serves reports whether an endpoint has this path.
func (r *Router) Serves(path string) bool { return r.views[path] != nil }

// Handle passes a resolved call to whoever answers its method.
func (r *Router) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	switch c.Method.Dest {
	case rpc.Holder:
		return r.Holder.Handle(ctx, c)
	case rpc.Owner:
		return r.forward(ctx, c)
	default:
		if serve, ok := r.local[c.Method.Name]; ok {
			return serve(ctx, c)
		}
		return nil, unknownMethod(c)
	}
}

func (r *Router) forward(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	up, ok := r.Upstreams[c.Target.Upstream]
	if !ok && c.Target.Upstream != "" && r.Former != nil {
		up = r.Former(c.Target.Upstream)
		ok = up != nil
	}
	switch {
	case !ok && c.Target.Kind == rpc.Resource:
		return r.search(ctx, c)
	case !ok && c.Message.IsNotification():
		return rpc.Respond(nil), nil // it concerns nobody here
	case !ok:
		return nil, unknownMethod(c)
	}
	view := r.views[c.Endpoint]
	shown := !view.Single && r.owners[c.Method.Name] != nil
	if shown && c.Method.Name == mcp.Complete {
		c = withReference(c)
	}
	reply, err := r.serve(ctx, view, up, &c)
	if err != nil {
		return nil, err
	}
	if shown {
		reply = r.expose(ctx, view, c, reply)
	}
	if tells(c) {
		reply = r.tellTasks(c, reply)
	}
	return reply, nil
}

// serve passes a call on as the rule says that it matches. It changes c to the call of the upstream that answers.
func (r *Router) serve(ctx context.Context, view *catalog.View, up rpc.Handler, c **rpc.Call) (*rpc.Reply, error) {
	if (*c).Route == nil {
		return r.send(ctx, view, up, *c)
	}
	return r.serveRouted(ctx, view, up, c)
}

func unknownMethod(c *rpc.Call) error {
	return rpc.Errorf(rpc.MethodNotFound, "method %s is not available on %s", rpc.Excerpt(c.Method.Name), c.Endpoint)
}
