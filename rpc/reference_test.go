package rpc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/headgate/headgate/rpc"
)

// This file is the slow and plain way to edit a message, over encoding/json, which
// tests compare the codec with.

// pair is a member of an object, its value as it stands in the text.
type pair struct {
	name  string
	value json.RawMessage
}

// ordered returns the members of an object in source order; false if the text is not
// an object.
func ordered(text []byte) ([]pair, bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	var out []pair
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, false
		}
		out = append(out, pair{name.(string), value})
	}
	_, err := d.Token()
	return out, err == nil
}

// operation is one edit.
type operation struct {
	kind  string // id, set, drop, setMeta, dropMeta
	name  string
	value string
}

func (o operation) String() string { return fmt.Sprintf("%s(%q, %s)", o.kind, o.name, o.value) }

func (o operation) apply(m *rpc.Message) {
	switch o.kind {
	case "id":
		id, err := rpc.ParseID([]byte(o.value))
		if err != nil {
			panic(err)
		}
		m.SetID(id)
	case "set":
		m.Set(o.name, []byte(o.value))
	case "drop":
		m.Drop(o.name)
	case "setMeta":
		m.SetMeta(o.name, []byte(o.value))
	case "dropMeta":
		m.DropMeta(o.name)
	}
}

// change is what the operations on one member come to; a nil value removes it.
type change struct {
	name  string
	value json.RawMessage
}

// changes are in the order in which their members were first named.
type changes []change

func (c *changes) put(name string, value json.RawMessage) {
	if i := slices.IndexFunc(*c, func(e change) bool { return e.name == name }); i >= 0 {
		(*c)[i].value = value
		return
	}
	*c = append(*c, change{name, value})
}

func (c changes) find(name string) (change, bool) {
	i := slices.IndexFunc(c, func(e change) bool { return e.name == name })
	if i < 0 {
		return change{}, false
	}
	return c[i], true
}

// makes reports whether any of the changes gives a value.
func (c changes) makes() bool {
	return slices.ContainsFunc(c, func(e change) bool { return e.value != nil })
}

// edited returns an object's members with the changes made: the members that stay in
// their order, then the new ones in the order of the changes.
func edited(members []pair, c changes) []pair {
	var out []pair
	for _, p := range members {
		e, found := c.find(p.name)
		switch {
		case !found:
			out = append(out, p)
		case e.value != nil:
			out = append(out, pair{p.name, e.value})
		}
	}
	for _, e := range c {
		if e.value != nil && !slices.ContainsFunc(members, func(p pair) bool { return p.name == e.name }) {
			out = append(out, pair(e))
		}
	}
	return out
}

// joined writes members as an object without space.
func joined(members []pair) json.RawMessage {
	out := []byte("{")
	for i, p := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(rpc.AppendString(out, p.name), ':')
		out = append(out, p.value...)
	}
	return append(out, '}')
}

// model is a message taken apart.
type model struct {
	body                 string // the member that is the body
	envelope, inner, own changes
	meta                 json.RawMessage // what the edits inside _meta start from
	rewritten            map[string]bool
}

// reference returns the message's members after the operations, and the paths of the
// objects that were written anew for it.
func reference(text []byte, m *rpc.Message, operations []operation) ([]pair, map[string]bool) {
	top, _ := ordered(text)
	r := model{body: "params", rewritten: map[string]bool{}}
	if m.Method == "" {
		r.body = "result"
	}
	body, readable := ordered(value(top, r.body))
	editable := m.Err == nil && m.CheckBody() == nil
	r.meta = value(body, "_meta")
	for _, o := range operations {
		if o.kind == "id" || editable {
			r.record(o)
		}
	}
	r.closeMeta()
	if readable && len(r.inner) > 0 || r.inner.makes() {
		r.rewritten["/"+r.body] = true
		r.envelope.put(r.body, joined(edited(body, r.inner)))
	}
	return edited(top, r.envelope), r.rewritten
}

func (r *model) record(o operation) {
	set := json.RawMessage(o.value)
	switch o.kind {
	case "id":
		r.envelope.put("id", set)
	case "setMeta":
		r.own.put(o.name, set)
	case "dropMeta":
		r.own.put(o.name, nil)
	case "drop":
		set = nil
		fallthrough
	case "set":
		if o.name == "_meta" {
			r.own, r.meta = nil, set
		}
		r.inner.put(o.name, set)
	}
}

// closeMeta turns the changes inside _meta into one of the body, which comes last.
func (r *model) closeMeta() {
	members, readable := ordered(r.meta)
	whole, replaced := r.inner.find("_meta")
	r.inner = slices.DeleteFunc(r.inner, func(e change) bool { return e.name == "_meta" })
	switch {
	case readable && len(r.own) > 0, r.own.makes():
		r.rewritten["/"+r.body+"/_meta"] = true
		r.inner.put("_meta", joined(edited(members, r.own)))
	case replaced:
		r.inner.put("_meta", whole.value)
	}
}

func value(members []pair, name string) json.RawMessage {
	for _, p := range members {
		if p.name == name {
			return p.value
		}
	}
	return nil
}
