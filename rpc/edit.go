package rpc

import (
	"bytes"
	"strconv"
)

// scope names the object that an edit is made in.
type scope uint8

const (
	top  scope = iota // the message itself
	body              // params, or the result of a response
	meta              // the body's _meta
)

// edit is one change to a named member: a new value, or none to remove it.
type edit struct {
	scope scope
	name  string
	value []byte
}

// SetID replaces the id.
func (m *Message) SetID(id ID) { m.set(top, "id", []byte(id.raw)) }

// Set gives a member of the body a new value, which is the text of a JSON value;
// the member, and a missing body, are made if need be.
func (m *Message) Set(name string, value []byte) { m.set(body, name, value) }

// Drop removes a member of the body, if it is there.
func (m *Message) Drop(name string) { m.set(body, name, nil) }

// SetMeta gives a member of the body's _meta a new value; the member, and a
// missing _meta, are made if need be.
func (m *Message) SetMeta(name string, value []byte) { m.set(meta, name, value) }

// DropMeta removes a member of the body's _meta, if it is there.
func (m *Message) DropMeta(name string) { m.set(meta, name, nil) }

func (m *Message) set(at scope, name string, value []byte) {
	if at != top && m.readBody() != nil {
		return
	}
	for i := range m.edits {
		if e := &m.edits[i]; e.scope == at && e.name == name {
			e.value = value
			return
		}
	}
	m.edits = append(m.edits, edit{at, name, value})
}

// AppendTo appends the message with all edits applied and returns the longer
// slice. Bytes that no edit touches are appended as they were received.
func (m *Message) AppendTo(dst []byte) []byte {
	if len(m.edits) == 0 {
		return append(dst, m.top.raw...)
	}
	dst = append(dst, m.top.raw[:m.top.at.from]...)
	dst = m.render(dst, top, &m.top)
	return append(dst, m.top.raw[m.top.at.to:]...)
}

// Size returns an upper bound of the bytes that [Message.AppendTo] appends.
func (m *Message) Size() int {
	n := len(m.top.raw)
	for _, e := range m.edits {
		n += len(e.name) + len(e.value) + len(`"params":{"_meta":{"":,}},`)
	}
	return n
}

// render appends one object: its members as received or as edited, the space
// between them as it was, then the members that edits add.
func (m *Message) render(dst []byte, at scope, o *object) []byte {
	first, end := true, o.at.from+1
	dst = append(dst, '{')
	for i := range o.members {
		f := &o.members[i]
		gap := o.raw[end:f.key.from]
		end = f.value.to
		value, edited := m.edited(at, f.name)
		if edited && value == nil && !m.grows(at, f.name) {
			continue
		}
		if first {
			gap = bytes.TrimLeft(gap, ",")
		}
		first = false
		dst = append(dst, gap...)
		dst = append(dst, o.raw[f.key.from:f.value.from]...)
		dst = m.value(dst, at, f, o, value)
	}
	dst = m.additions(dst, at, o, first)
	return append(dst, o.raw[end:o.at.to]...)
}

// value appends a member's value: the edited one, or the received one with the
// edits further in.
func (m *Message) value(dst []byte, at scope, f *member, o *object, value []byte) []byte {
	switch inner, n := m.inner(at, f.name); {
	case value != nil:
		return append(dst, value...)
	case inner == nil || !m.touches(n):
		return append(dst, o.raw[f.value.from:f.value.to]...)
	case inner.raw == nil: // null, or not an object: the edits make one
		dst = m.additions(append(dst, '{'), n, inner, true)
		return append(dst, '}')
	default:
		return m.render(dst, n, inner)
	}
}

// additions appends the members that edits give values and the object lacks.
func (m *Message) additions(dst []byte, at scope, o *object, first bool) []byte {
	comma := func() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
	}
	for _, e := range m.edits {
		if e.scope == at && e.value != nil && o.find(e.name) == nil {
			comma()
			dst = append(AppendString(dst, e.name), ':')
			dst = append(dst, e.value...)
		}
	}
	name, next := m.child(at)
	if name == "" || o.find(name) != nil || !m.adds(next) {
		return dst
	}
	comma()
	inner, _ := m.inner(at, name)
	dst = append(AppendString(dst, name), ":{"...)
	dst = m.additions(dst, next, inner, true)
	return append(dst, '}')
}

// child names the member of an object that is itself a scope of edits.
func (m *Message) child(at scope) (name string, next scope) {
	switch {
	case at == body:
		return "_meta", meta
	case at == top && m.Method != "":
		return "params", body
	case at == top && m.Result != nil:
		return "result", body
	}
	return "", at
}

// inner returns the recorded object of the scope that is member name of at.
func (m *Message) inner(at scope, name string) (*object, scope) {
	switch child, next := m.child(at); {
	case child != name || child == "":
		return nil, at
	case next == body:
		return &m.body, next
	default:
		return &m.meta, next
	}
}

// grows reports whether name is a scope that gets members, so that it stays.
func (m *Message) grows(at scope, name string) bool {
	child, next := m.child(at)
	return child == name && m.adds(next)
}

// touches reports whether any edit is made in at or further in.
func (m *Message) touches(at scope) bool {
	for _, e := range m.edits {
		if e.scope >= at {
			return true
		}
	}
	return false
}

// adds reports whether an edit gives a member of at, or further in, a value.
func (m *Message) adds(at scope) bool {
	for _, e := range m.edits {
		if e.scope >= at && e.value != nil {
			return true
		}
	}
	return false
}

func (m *Message) edited(at scope, name string) (value []byte, ok bool) {
	for _, e := range m.edits {
		if e.scope == at && e.name == name {
			return e.value, true
		}
	}
	return nil, false
}

// AppendInt appends n in decimal.
func AppendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }
