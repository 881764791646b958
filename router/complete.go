package router

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/rpc"
)

// maxCompletions is how many values a completion may have (MCP 2025-11-25,
// Completion).
const maxCompletions = 100

// completable is what a client wants to complete an argument of.
type completable struct {
	ref   rpc.Object
	kind  string // ref/prompt, ref/resource, or one that is not known here
	field string // the member that names it; empty for a kind that is not known
	name  string
}

// reference finds what a client wants to complete an argument of: a prompt by its
// name, or a resource template by its text. An upstream that completes nothing is not asked. On
// an endpoint of its own it is asked about other kinds too.
func (r *Router) reference(ctx context.Context, view *catalog.View, c *rpc.Call) (*rpc.Target, error) {
	of, err := readReference(c.Message)
	switch {
	case err != nil:
		return nil, err
	case of.field == "" && view.Single:
		return &rpc.Target{Upstream: view.Upstreams[0]}, nil
	case of.field == "":
		return nil, rpc.Errorf(rpc.InvalidParams, "params.ref.type %s is neither ref/prompt nor ref/resource", rpc.Excerpt(of.kind))
	}
	target, err := r.referred(ctx, view, c, of)
	if err == nil && !view.Single && !r.Catalog.Declares(ctx, target.Upstream, "completions") {
		return nil, rpc.Errorf(rpc.MethodNotFound, "upstream %q completes nothing", target.Upstream)
	}
	return target, err
}

func (r *Router) referred(ctx context.Context, view *catalog.View, c *rpc.Call, of completable) (*rpc.Target, error) {
	if of.field == "name" {
		return r.Catalog.ResolvePrompt(ctx, view, c.Client, of.name)
	}
	target := r.Catalog.ResolveTemplate(ctx, view, c.Client, c.Principal, of.name)
	switch {
	case target.Upstream != "":
		return target, nil
	case view.Single:
		return catalog.ResourceOf(view.Upstreams[0], of.name), nil
	}
	return nil, rpc.Errorf(rpc.InvalidParams, "unknown resource template %s", rpc.Excerpt(of.name))
}

// readReference reads the ref of a completion. What the gateway judges must be what the
// upstream reads, so that the members which name it are refused in another case.
func readReference(m *rpc.Message) (out completable, err error) {
	text, _ := m.Get("ref")
	if out.ref, err = rpc.ReadObject(text); err != nil {
		return out, rpc.Errorf(rpc.InvalidParams, "params.ref must be an object")
	}
	out.ref.Each(func(member string, _ json.RawMessage) bool {
		for _, known := range [...]string{"type", "name", "uri"} {
			if member != known && strings.EqualFold(member, known) {
				err = rpc.Errorf(rpc.InvalidParams, "member %s of params.ref is %s in another case", rpc.Excerpt(member), known)
			}
		}
		return err == nil
	})
	if err != nil {
		return out, err
	}
	var ok bool
	if out.kind, ok = out.ref.Text("type"); !ok {
		return out, rpc.Errorf(rpc.InvalidParams, "params.ref.type must be a string")
	}
	switch out.kind {
	case "ref/prompt":
		out.field = "name"
	case "ref/resource":
		out.field = "uri"
	default:
		return out, nil
	}
	if out.name, ok = out.ref.Text(out.field); !ok {
		return out, rpc.Errorf(rpc.InvalidParams, "params.ref.%s must be a string", out.field)
	}
	return out, nil
}

// withReference returns the call as its target's upstream knows what it is about.
func withReference(c *rpc.Call) *rpc.Call {
	of, err := readReference(c.Message)
	if err != nil || of.name == c.Target.Own {
		return c
	}
	own := *c
	own.Message = c.Message.Fork()
	own.Message.Set("ref", of.ref.With(of.field, rpc.AppendString(nil, c.Target.Own)))
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
