package bridge

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// toLegacyQuestion returns the params of a modern input request as a legacy client
// takes them, nil for none, and whether it can be asked at all. The error is what the
// server did wrong: it may ask for what the client declared and nothing else.
func toLegacyQuestion(client rpc.Client, method string, params json.RawMessage) (json.RawMessage, bool, error) {
	can := mcp.AskingOf(mcp.Carried(client))
	undeclared := fmt.Errorf("it asks for %s, which the client did not declare", rpc.Excerpt(method))
	p, err := rpc.ReadObject(params)
	if err != nil && (params != nil || method != mcp.RootsList) {
		return nil, false, fmt.Errorf("its %s has no params", rpc.Excerpt(method))
	}
	switch method {
	case mcp.RootsList:
		if !can.Roots {
			return nil, false, undeclared
		}
		return params, true, nil
	case mcp.SamplingCreate:
		if _, tools := p.Get("tools"); !can.Sampling || tools && !can.SamplingTools {
			return nil, false, undeclared
		}
		return params, true, nil
	case mcp.ElicitationCreate:
		return legacyElicitation(client, can, p, params, undeclared)
	}
	return nil, false, undeclared
}

func legacyElicitation(client rpc.Client, can mcp.Asking, p rpc.Object, params json.RawMessage, undeclared error) (json.RawMessage, bool, error) {
	mode, _ := p.Text("mode")
	traits, known := mcp.Of(client.Revision)
	switch {
	case mode == "url" && can.URL:
		return p.With("elicitationId", rpc.AppendString(nil, rand.Text())), true, nil
	case mode == "url" || !can.Form:
		return nil, false, undeclared
	case known && !traits.RichAsking:
		out, ok := plainForm(p)
		return out, ok, nil
	}
	return params, true, nil
}

// plainForm puts a form in the words of MCP 2025-06-18: no mode, enums with names
// beside them, defaults for booleans only. It reports false for a form that cannot be
// said without choices of several values.
func plainForm(p rpc.Object) (json.RawMessage, bool) {
	out := p.Without("mode")
	schemaText, _ := p.Get("requestedSchema")
	schema, err := rpc.ReadObject(schemaText)
	if err != nil {
		return out, true
	}
	propertiesText, _ := schema.Get("properties")
	properties, err := rpc.ReadObject(propertiesText)
	if err != nil {
		return out, true
	}
	plain, ok := propertiesText, true
	properties.Each(func(name string, value json.RawMessage) bool {
		value, ok = plainField(value)
		plain = put(plain, name, value)
		return ok
	})
	return put(out, "requestedSchema", schema.With("properties", plain)), ok
}

func plainField(text json.RawMessage) (json.RawMessage, bool) {
	field, err := rpc.ReadObject(text)
	if err != nil {
		return text, true
	}
	kind, _ := field.Text("type")
	if kind == "array" {
		return nil, false
	}
	if _, ok := field.Get("default"); ok && kind != "boolean" {
		text = field.Without("default")
	}
	choices, ok := field.Get("oneOf")
	if !ok {
		return text, true
	}
	if values, titles, ok := choicesOf(choices); ok {
		text = put(put(drop(text, "oneOf"), "enum", values), "enumNames", titles)
	}
	return text, true
}

// choicesOf splits [{const, title}…] into the values and their titles.
func choicesOf(text json.RawMessage) (values, titles json.RawMessage, ok bool) {
	items, err := rpc.Elements(text)
	if err != nil || len(items) == 0 {
		return nil, nil, false
	}
	var consts, names [][]byte
	for _, item := range items {
		o, err := rpc.ReadObject(item)
		if err != nil {
			return nil, nil, false
		}
		value, ok := o.Get("const")
		if !ok {
			return nil, nil, false
		}
		title, ok := o.Get("title")
		if !ok {
			title = value
		}
		consts, names = append(consts, value), append(names, title)
	}
	return array(consts), array(names), true
}

func array(items [][]byte) json.RawMessage {
	return append(append([]byte{'['}, bytes.Join(items, []byte{','})...), ']')
}

func put(text json.RawMessage, name string, value json.RawMessage) json.RawMessage {
	o, err := rpc.ReadObject(text)
	if err != nil {
		return text
	}
	return o.With(name, value)
}

func drop(text json.RawMessage, name string) json.RawMessage {
	o, err := rpc.ReadObject(text)
	if err != nil {
		return text
	}
	return o.Without(name)
}
