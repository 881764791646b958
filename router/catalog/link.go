package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Expose gives the URIs in a response the form under which the client of the call
// finds them: those of linked and embedded resources in the result of a tool or a
// prompt, those of the contents of a resource, and the one that an error is about.
// Text and structured content are never touched. It may edit m, and returns the
// message to send.
func (c *Catalog) Expose(ctx context.Context, v *View, call *rpc.Call, m *rpc.Message) *rpc.Message {
	x := exposure{catalog: c, ctx: ctx, view: v, call: call}
	switch {
	case v.Single:
		return m
	case m.Err != nil:
		return x.failure(m)
	case !x.linked() || !bytes.Contains(m.Result, []byte(`"uri"`)):
		return m
	}
	m = m.Clone() // with the edits that were made so far
	switch call.Method.Name {
	case mcp.PromptsGet:
		edits(m, "messages", eachOf(x.promptMessage))
	case mcp.ResourcesRead:
		edits(m, "contents", eachOf(x.uri))
	case mcp.TasksGet:
		x.task(m)
	default:
		edits(m, "content", eachOf(x.block))
	}
	return m
}

// ExposeTask is Expose for a notification that says how a task is doing, which the call
// asked to hear of.
func (c *Catalog) ExposeTask(ctx context.Context, v *View, call *rpc.Call, m *rpc.Message) *rpc.Message {
	x := exposure{catalog: c, ctx: ctx, view: v, call: call}
	if v.Single || !bytes.Contains(m.Params, []byte(`"uri"`)) || !x.linked() {
		return m
	}
	m = m.Clone()
	x.task(m)
	return m
}

// task changes what a task has come to, which lies within what is said of it (SEP-2663).
func (x exposure) task(m *rpc.Message) {
	edits(m, "result", inner("content", eachOf(x.block)))
	edits(m, "error", inner("data", x.uri))
}

// edits changes a member of a message.
func edits(m *rpc.Message, member string, change func(json.RawMessage) json.RawMessage) {
	if text, ok := m.Get(member); ok {
		if changed := change(text); changed != nil {
			m.Set(member, changed)
		}
	}
}

// eachOf changes the elements of an array.
func eachOf(change func(json.RawMessage) json.RawMessage) func(json.RawMessage) json.RawMessage {
	return func(text json.RawMessage) json.RawMessage { return eachElement(text, change) }
}

// exposure rewrites one response.
type exposure struct {
	catalog *Catalog
	ctx     context.Context //nolint:containedctx // of the one call that the response ends
	view    *View
	call    *rpc.Call
}

// linked reports whether URIs of the upstream lead anywhere: not where it is known to
// have no resources.
func (x exposure) linked() bool {
	t := x.catalog.table(x.ctx, x.view, resourceList, x.call.Client, false)
	upstream := x.call.Target.Whose()
	return slices.Contains(t.offering, upstream) || slices.Contains(t.absent, upstream)
}

// find returns the URI that the client is to use. What it has asked for itself it
// finds under the URI it used.
func (x exposure) find(uri string) string {
	t := x.call.Target
	if t.Kind == rpc.Resource && uri == t.Own {
		return t.Exposed
	}
	return x.catalog.ExposeURI(x.ctx, x.view, x.call.Client, x.call.Principal, t.Whose(), uri)
}

// uri changes the URI of an object; nil if it stays.
func (x exposure) uri(text json.RawMessage) json.RawMessage {
	o, err := rpc.ReadObject(text)
	if err != nil {
		return nil
	}
	own, _ := o.Text("uri")
	if found := x.find(own); own != "" && found != own {
		return o.With("uri", rpc.AppendString(nil, found))
	}
	return nil
}

// block changes a content block (MCP 2025-11-25, Tools, Tool Result).
func (x exposure) block(text json.RawMessage) json.RawMessage {
	o, err := rpc.ReadObject(text)
	if err != nil {
		return nil
	}
	switch kind, _ := o.Text("type"); kind {
	case "resource_link":
		return x.uri(text)
	case "resource":
		return within(o, "resource", x.uri)
	}
	return nil
}

// promptMessage changes the content of a message of a prompt, which is one block.
func (x exposure) promptMessage(text json.RawMessage) json.RawMessage {
	return inner("content", x.block)(text)
}

// failure changes the URI in the data of an error.
func (x exposure) failure(m *rpc.Message) *rpc.Message {
	changed := x.uri(m.Err.Data)
	if changed == nil {
		return m
	}
	e := *m.Err
	e.Data = changed
	return rpc.NewError(m.ID, &e)
}

// within changes a member of an object; nil if it stays.
func within(o rpc.Object, name string, change func(json.RawMessage) json.RawMessage) json.RawMessage {
	value, ok := o.Get(name)
	if !ok {
		return nil
	}
	if changed := change(value); changed != nil {
		return o.With(name, changed)
	}
	return nil
}

// eachElement changes the elements of an array and keeps all bytes between them; nil
// if all stay.
func eachElement(text json.RawMessage, change func(json.RawMessage) json.RawMessage) json.RawMessage {
	elements, err := rpc.Elements(text)
	if err != nil {
		return nil
	}
	var out []byte
	kept := 0 // how much of text is in out
	at := 0
	for _, element := range elements {
		at += bytes.Index(text[at:], element) // only space and a comma are before it
		if changed := change(element); changed != nil {
			out = append(append(out, text[kept:at]...), changed...)
			kept = at + len(element)
		}
		at += len(element)
	}
	if out == nil {
		return nil
	}
	return append(out, text[kept:]...)
}

// withView qualifies the URI of the user interface that a tool names, in either
// place that servers put it (MCP Apps, Tool Metadata).
func withView(tool json.RawMessage, upstream string) json.RawMessage {
	if !bytes.Contains(tool, []byte("resourceUri")) {
		return tool
	}
	qualified := func(name string) func(json.RawMessage) json.RawMessage {
		return func(text json.RawMessage) json.RawMessage {
			o, err := rpc.ReadObject(text)
			if err != nil {
				return nil
			}
			uri, ok := o.Text(name)
			if !ok {
				return nil
			}
			return o.With(name, rpc.AppendString(nil, qualify(upstream, uri)))
		}
	}
	nested := func(o rpc.Object) json.RawMessage { return within(o, "_meta", inner("ui", qualified("resourceUri"))) }
	flat := func(o rpc.Object) json.RawMessage { return within(o, "_meta", qualified("ui/resourceUri")) }
	return edit(edit(tool, nested), flat)
}

// inner changes a member of the object in a text.
func inner(name string, change func(json.RawMessage) json.RawMessage) func(json.RawMessage) json.RawMessage {
	return func(text json.RawMessage) json.RawMessage {
		o, err := rpc.ReadObject(text)
		if err != nil {
			return nil
		}
		return within(o, name, change)
	}
}
