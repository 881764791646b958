package model

import (
	"context"
	"encoding/json"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// Deps is what a router passes calls to. What is nil is not there.
type Deps struct {
	Models []Entry // in the order of the configuration
	// Sees reports whether a caller may know of a model. Nil lets everybody.
	Sees func(c *rpc.Call, t *rpc.Target) bool
	// Route returns what the rule says that matches a call of which it is known which model it is about, and the model that serves it instead,
	// by any of its names; empty if none does. Nil has no rules.
	Route func(c *rpc.Call) (rule *rpc.Route, to string)
	// Jobs serves invoke_async, and status and cancel of jobs.
	Jobs rpc.Handler
	// Logs serves logs.
	Logs rpc.Handler
	// Holder of sessions serves what is about them and is no method of the dialect.
	Holder rpc.Handler
	// Open opens a session for a client that asks for none by its id, and returns the id.
	Open func(ctx context.Context, c *rpc.Call, i infer.Introduction) (string, error)
	// Session tells how the session of a call stands; nil if there is nothing to tell.
	Session func(ctx context.Context, c *rpc.Call) (*Session, error)

	Info    json.RawMessage // the gateway's own Implementation object
	Version string          // of the gateway
	Started time.Time
}

// Router resolves and dispatches the calls of the dialect. It is immutable and may be used by many goroutines at once.
type Router struct {
	Deps
	names  map[string]*Entry // exact names and aliases
	globs  []*Entry
	served map[string]*Entry // by the entry's own name
	local  map[string]rpc.HandlerFunc
}

var _ rpc.Handler = (*Router)(nil)

// New returns a router. It does not change and keeps what it is given.
func New(deps Deps) *Router {
	r := &Router{Deps: deps, names: map[string]*Entry{}, served: make(map[string]*Entry, len(deps.Models))}
	for i := range deps.Models {
		r.add(&deps.Models[i])
	}
	for i := range deps.Models {
		r.alias(&deps.Models[i])
	}
	r.local = map[string]rpc.HandlerFunc{
		infer.Initialize:  r.initialize,
		infer.Invoke:      r.invoke,
		infer.InvokeAsync: r.job,
		infer.Status:      r.status,
		infer.Cancel:      r.cancel,
		infer.Logs:        r.logs,
		infer.Heartbeat:   answer,
		infer.Ping:        answer,
	}
	return r
}

// Handle passes a resolved call to whoever answers its method.
func (r *Router) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	if c.Method.Dest == rpc.Holder {
		return r.Holder.Handle(ctx, c)
	}
	serve, ok := r.local[c.Method.Name]
	if !ok {
		return nil, unknownMethod(c)
	}
	if c.Message.IsNotification() && !infer.MayNotify(c.Method.Name) {
		return nil, rpc.Errorf(rpc.InvalidRequest, "%s needs an id: it cannot be a notification", c.Method.Name)
	}
	return serve(ctx, c)
}

// invoke passes an invoke to the pool of its model.
func (r *Router) invoke(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	if c.Route != nil && len(c.Route.Fallback) > 0 {
		return r.invokeOrFallBack(ctx, c)
	}
	return r.send(ctx, c)
}

// send passes an invoke to the pool of its target.
func (r *Router) send(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	e := r.served[c.Target.Upstream]
	if e == nil {
		return nil, unknownModel(c.Target.Exposed)
	}
	return e.Handler.Handle(ctx, c)
}

// job passes on what is about jobs.
func (r *Router) job(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	if r.Jobs == nil {
		return nil, rpc.Errorf(rpc.MethodNotFound, "there are no jobs here: they need a data_dir, so that they are on disk before they are acknowledged")
	}
	return r.Jobs.Handle(ctx, c)
}

func (r *Router) logs(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	if r.Logs == nil {
		return nil, unknownMethod(c)
	}
	return r.Logs.Handle(ctx, c)
}

func unknownMethod(c *rpc.Call) error {
	return rpc.Errorf(rpc.MethodNotFound, "there is no method %s", rpc.Excerpt(c.Method.Name))
}
