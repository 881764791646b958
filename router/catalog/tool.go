package catalog

import (
	"encoding/json"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// readTool reads an entry. Sloppy schemas are mended where that is safe; what
// remains invalid is an error and the entry is left out.
func readTool(upstream string, text json.RawMessage, strict bool) (item, error) {
	o, err := rpc.ReadObject(text)
	if err != nil {
		return item{}, err
	}
	own, err := keyOf(toolList, text)
	if err != nil {
		return item{}, err
	}
	t := item{own: own, canonical: Canonical(upstream, own), text: text}
	t.task = runsAsTask(o)
	schema, sound := inputSchema(o)
	if !sound {
		t.text = o.With("inputSchema", schema)
	}
	t.headers, err = mcp.ParamHeaders(schema)
	if err != nil && strict {
		return item{}, err // SEP-2243: a client on HTTP must drop the tool
	}
	if err != nil {
		return t.withoutAnnotations(schema)
	}
	t.hints = hinted(o)
	return t, nil
}

// inputSchema returns the schema of a tool's arguments, and whether it stands in the entry as it must: an object
// whose type is "object" (MCP 2025-11-25, Tools). Strict clients refuse the whole list for one that does not.
func inputSchema(tool rpc.Object) (schema json.RawMessage, sound bool) {
	schema, _ = tool.Get("inputSchema")
	o, err := rpc.ReadObject(schema)
	if err != nil {
		return json.RawMessage(`{"type":"object"}`), false
	}
	if kind, _ := o.Text("type"); kind == "object" {
		return schema, true
	}
	return o.With("type", []byte(`"object"`)), false
}

// withoutAnnotations strips x-mcp-header from the schema of a tool whose server
// does not mirror arguments anyway, so that modern clients keep the tool.
func (t item) withoutAnnotations(schema json.RawMessage) (item, error) {
	o, err := rpc.ReadObject(t.text)
	if err != nil {
		return item{}, err
	}
	clean, err := stripMember(schema, "x-mcp-header")
	if err != nil {
		return item{}, err
	}
	t.text, t.headers, t.hints = o.With("inputSchema", clean), nil, hinted(o)
	return t, nil
}

// hints are what a server says of a call's effects.
type hints struct {
	idempotent bool // a second call changes nothing more
	cacheable  bool // no call changes anything, and the same one has the same answer
}

// hinted reads the annotations of a tool.
func hinted(o rpc.Object) hints {
	text, ok := o.Get("annotations")
	if !ok || text[0] != '{' {
		return hints{}
	}
	annotations, err := rpc.ReadObject(text)
	if err != nil {
		return hints{}
	}
	readOnly, _ := annotations.Get("readOnlyHint")
	idempotent, _ := annotations.Get("idempotentHint")
	return hints{
		idempotent: string(readOnly) == "true" || string(idempotent) == "true",
		cacheable:  string(readOnly) == "true" && string(idempotent) != "false",
	}
}

// runsAsTask reports whether the server says that a tool cannot be called but as a task (MCP 2025-11-25, Tasks,
// Tool-Level Negotiation).
func runsAsTask(o rpc.Object) bool {
	text, ok := o.Get("execution")
	if !ok {
		return false
	}
	execution, err := rpc.ReadObject(text)
	if err != nil {
		return false
	}
	support, _ := execution.Text("taskSupport")
	return support == "required"
}

// stripMember removes every member of a name from the objects in text.
func stripMember(text json.RawMessage, name string) (json.RawMessage, error) {
	switch text[0] {
	case '{':
		return stripObject(text, name)
	case '[':
		items, err := rpc.Elements(text)
		if err != nil {
			return nil, err
		}
		return joined('[', ']', len(items), func(dst []byte, i int) ([]byte, error) {
			value, err := stripMember(items[i], name)
			return append(dst, value...), err
		})
	}
	return text, nil
}

func stripObject(text json.RawMessage, name string) (json.RawMessage, error) {
	o, err := rpc.ReadObject(text)
	if err != nil {
		return nil, err
	}
	type member struct {
		name  string
		value json.RawMessage
	}
	var kept []member
	o.Each(func(n string, v json.RawMessage) bool {
		if n != name {
			kept = append(kept, member{n, v})
		}
		return true
	})
	return joined('{', '}', len(kept), func(dst []byte, i int) ([]byte, error) {
		value, err := stripMember(kept[i].value, name)
		return append(append(rpc.AppendString(dst, kept[i].name), ':'), value...), err
	})
}

func joined(open, closing byte, n int, write func(dst []byte, i int) ([]byte, error)) ([]byte, error) {
	out := []byte{open}
	for i := range n {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = write(out, i); err != nil {
			return nil, err
		}
	}
	return append(out, closing), nil
}

// toolFor returns an entry without what clients of an era cannot read.
func toolFor(era rpc.Era, text json.RawMessage) json.RawMessage {
	if era == rpc.Modern {
		return edit(text, func(o rpc.Object) json.RawMessage { return without(o, "execution") })
	}
	return edit(edit(text, withoutTask), func(o rpc.Object) json.RawMessage {
		if schema, ok := o.Get("outputSchema"); ok && !isObjectSchema(schema) {
			return o.Without("outputSchema") // legacy clients know structured objects only
		}
		return nil
	})
}

// withoutTask takes out that a tool runs as a task only: clients call it as any other, and some refuse to if they are
// told.
func withoutTask(o rpc.Object) json.RawMessage {
	if !runsAsTask(o) {
		return nil
	}
	return o.Without("execution")
}

func without(o rpc.Object, name string) json.RawMessage {
	if _, ok := o.Get(name); !ok {
		return nil
	}
	return o.Without(name)
}

func isObjectSchema(schema json.RawMessage) bool {
	if schema[0] != '{' {
		return false
	}
	o, err := rpc.ReadObject(schema)
	if err != nil {
		return false
	}
	kind, _ := o.Text("type")
	return kind == "object"
}
