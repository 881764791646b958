package router

import (
	"context"

	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/rpc"
)

// maxCompletions is how many values a completion may have (MCP 2025-11-25,
// Completion).
const maxCompletions = 100

// reference finds what a client wants to complete an argument of: a prompt by its
// name, or a resource template by its text. An upstream that completes nothing is not asked.
func (r *Router) reference(ctx context.Context, view *catalog.View, c *rpc.Call) (*rpc.Target, error) {
	if view.Single {
		return &rpc.Target{Upstream: view.Upstreams[0]}, nil
	}
	target, err := r.referred(ctx, view, c)
	if err == nil && !r.Catalog.Declares(ctx, target.Upstream, "completions") {
		return nil, rpc.Errorf(rpc.MethodNotFound, "upstream %q completes nothing", target.Upstream)
	}
	return target, err
}

func (r *Router) referred(ctx context.Context, view *catalog.View, c *rpc.Call) (*rpc.Target, error) {
	ref, field, err := readReference(c.Message)
	if err != nil {
		return nil, err
	}
	name, ok := ref.Text(field)
	if !ok {
		return nil, rpc.Errorf(rpc.InvalidParams, "params.ref.%s must be a string", field)
	}
	if field == "name" {
		return r.Catalog.ResolvePrompt(ctx, view, c.Client, name)
	}
	target := r.Catalog.ResolveTemplate(ctx, view, c.Client, c.Principal, name)
	if target.Upstream == "" {
		return nil, rpc.Errorf(rpc.InvalidParams, "unknown resource template %s", rpc.Excerpt(name))
	}
	return target, nil
}

// readReference returns the ref of a completion and the member that names it.
func readReference(m *rpc.Message) (ref rpc.Object, field string, err error) {
	text, _ := m.Get("ref")
	if ref, err = rpc.ReadObject(text); err != nil {
		return ref, "", rpc.Errorf(rpc.InvalidParams, "params.ref must be an object")
	}
	switch kind, _ := ref.Text("type"); kind {
	case "ref/prompt":
		return ref, "name", nil
	case "ref/resource":
		return ref, "uri", nil
	default:
		return ref, "", rpc.Errorf(rpc.InvalidParams, "params.ref.type %s is neither ref/prompt nor ref/resource", rpc.Excerpt(kind))
	}
}

// withReference returns the call as its target's upstream knows what it is about.
func withReference(c *rpc.Call) *rpc.Call {
	ref, field, err := readReference(c.Message)
	if name, _ := ref.Text(field); err != nil || name == c.Target.Own {
		return c
	}
	own := *c
	own.Message = c.Message.Fork()
	own.Message.Set("ref", ref.With(field, rpc.AppendString(nil, c.Target.Own)))
	return &own
}

// fewer cuts a completion that has more values than a client must take.
func fewer(m *rpc.Message) *rpc.Message {
	text, _ := m.Get("completion")
	o, err := rpc.ReadObject(text)
	if err != nil {
		return m
	}
	list, _ := o.Get("values")
	values, err := rpc.Elements(list)
	if err != nil || len(values) <= maxCompletions {
		return m
	}
	cut := []byte{'['}
	for i, value := range values[:maxCompletions] {
		if i > 0 {
			cut = append(cut, ',')
		}
		cut = append(cut, value...)
	}
	if o, err = rpc.ReadObject(o.With("values", append(cut, ']'))); err == nil {
		m.Set("completion", o.With("hasMore", []byte("true")))
	}
	return m
}
