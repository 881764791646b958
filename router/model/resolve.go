package model

import (
	"context"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// add makes an entry known by its own name.
func (r *Router) add(e *Entry) {
	r.served[e.Name] = e
	if e.isGlob() {
		r.globs = append(r.globs, e)
	} else {
		r.names[e.Name] = e
	}
}

// alias makes an entry known by its other names, where they are nobody's own.
func (r *Router) alias(e *Entry) {
	for _, name := range e.Aliases {
		if r.names[name] == nil {
			r.names[name] = e
		}
	}
}

// Find returns the target of a model by the name that a client, or a rule, knows it by.
func (r *Router) Find(name string) (rpc.Target, bool) {
	if e := r.names[name]; e != nil {
		return e.target(name), true
	}
	for _, e := range r.globs {
		if config.Match(e.Name, name) {
			return e.target(name), true
		}
	}
	return rpc.Target{}, false
}

// Resolve finds the model that a call is about and writes it into the call's target. Calls whose method is about none pass.
func (r *Router) Resolve(next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if err := r.Locate(c); err != nil {
			return nil, err
		}
		return next.Handle(ctx, c)
	})
}

// Locate finds what a call is about as [Router.Resolve] does, without making it.
func (r *Router) Locate(c *rpc.Call) error {
	if c.Method.Dest != rpc.Owner {
		return nil
	}
	if err := check(c); err != nil {
		return err
	}
	name, _ := c.Message.Text(string(c.Method.Subject))
	target, ok := r.Find(name)
	if !ok {
		return unknownModel(name)
	}
	c.Target = target
	if err := r.route(c); err != nil {
		return err
	}
	c.Record.Note(rpc.Routed, c.Target.Upstream, 0)
	return nil
}

// check refuses params that are not of the method's schema, before anybody pays for them.
func check(c *rpc.Call) (err error) {
	if c.Method.Name == infer.InvokeAsync {
		_, err = infer.ReadSubmission(c.Message)
	} else {
		_, err = infer.ReadInvocation(c.Message)
	}
	return err
}

// unknownModel is the error for a name that leads to no model.
func unknownModel(name string) error {
	err := rpc.Errorf(rpc.InvalidParams, "there is no model %s", rpc.Excerpt(name))
	err.Data = map[string]any{"model": name}
	return err
}
