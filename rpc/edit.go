package rpc

import (
	"bytes"
	"slices"
	"strconv"
)

// metaName is the member of a body that has edits of its own.
const metaName = "_meta"

// edit is one change to a named member: a new value, or none to remove it.
type edit struct {
	scope scope
	name  string
	value []byte
}

// SetID replaces the id. The zero ID removes it.
func (m *Message) SetID(id ID) {
	if id.IsZero() {
		m.set(top, "id", nil)
		return
	}
	m.set(top, "id", []byte(id.raw))
}

// Set gives a member of the body a new value, which is the text of a JSON value;
// the member, and a missing body, are made if need be. Nothing is set in a body that
// [Message.CheckBody] has an objection to, nor in an error. A new _meta takes the
// place of what was set or removed in the old one before.
func (m *Message) Set(name string, value []byte) { m.set(body, name, value) }

// Drop removes a member of the body, if it is there. Dropping _meta forgets what was
// set in it before; what is set in it after is all that it will hold.
func (m *Message) Drop(name string) { m.set(body, name, nil) }

// SetMeta gives a member of the body's _meta a new value; the member, and a missing
// _meta, are made if need be, and a _meta that is no object is replaced.
func (m *Message) SetMeta(name string, value []byte) { m.set(meta, name, value) }

// DropMeta removes a member of the body's _meta, if it is there.
func (m *Message) DropMeta(name string) { m.set(meta, name, nil) }

func (m *Message) set(at scope, name string, value []byte) {
	m.read()
	if at != top && m.CheckBody() != nil {
		return
	}
	if at == body && name == metaName {
		m.edits = slices.DeleteFunc(m.edits, func(e edit) bool { return e.scope == meta })
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
	head, tail := m.Split(dst)
	return append(head, tail...)
}

// AppendResult appends the result of a response with all edits applied and returns the
// longer slice.
func (m *Message) AppendResult(dst []byte) []byte {
	dst, _ = m.value(dst, top, "result", m.Result)
	return dst
}

// AppendParams appends the params of a request with all edits applied and returns the longer
// slice; nothing where there are none.
func (m *Message) AppendParams(dst []byte) []byte {
	dst, _ = m.value(dst, top, "params", m.Params)
	return dst
}

// Size returns an upper bound of the bytes that [Message.AppendTo] appends.
func (m *Message) Size() int {
	if m.unread {
		return len(`{"jsonrpc":"2.0","method":"","params":}`) + len(m.Method) + len(m.Params)
	}
	n := len(m.objects[top].raw)
	for _, e := range m.edits {
		n += len(`"params":{"_meta":{"":,}},`) + len(`\u0000`)*len(e.name) + len(e.value)
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
		gap, mark := o.raw[end:f.key.from], len(dst)
		end = f.value.to
		if first {
			gap = gap[bytes.IndexByte(gap, ',')+1:]
		}
		dst = append(append(dst, gap...), o.raw[f.key.from:f.value.from]...)
		var kept bool
		if dst, kept = m.value(dst, at, string(o.name(f)), o.text(f)); !kept {
			dst = dst[:mark]
		}
		first = first && !kept
	}
	dst = m.additions(dst, at, o, first)
	return append(dst, o.raw[end:o.at.to]...)
}

// additions appends the members that edits give values and the object lacks.
func (m *Message) additions(dst []byte, at scope, o *object, first bool) []byte {
	add := func(name string) {
		if o.find(name) != nil {
			return
		}
		mark := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, name), ':')
		var made bool
		if dst, made = m.value(dst, at, name, nil); !made {
			dst = dst[:mark]
		}
		first = first && !made
	}
	child, _ := m.child(at)
	for _, e := range m.edits {
		if e.scope == at && (e.name != child || child == "") {
			add(e.name)
		}
	}
	if child != "" {
		add(child)
	}
	return dst
}

// value appends a member's value: the received text, which is nil if there is none,
// or what the edits of the member and of what is in it make of it. It returns false
// if that is nothing.
func (m *Message) value(dst []byte, at scope, name string, received []byte) ([]byte, bool) {
	if child, next := m.child(at); child == name && child != "" {
		switch o := m.start(next); {
		case o.raw != nil && m.touches(next):
			return m.render(dst, next, o), true
		case m.adds(next):
			return append(m.additions(append(dst, '{'), next, o, true), '}'), true
		}
	}
	if value, edited := m.edited(at, name); edited {
		received = value
	}
	return append(dst, received...), received != nil
}

// child names the member of an object that is itself a scope of edits.
func (m *Message) child(at scope) (name string, next scope) {
	switch {
	case at == body:
		return metaName, meta
	case at == top && m.Method != "":
		return "params", body
	case at == top && m.Result != nil:
		return "result", body
	}
	return "", at
}

// start returns the object that the edits of a scope start from: the received one,
// or what an edit of _meta as a whole has put in its place.
func (m *Message) start(at scope) *object {
	if value, edited := m.edited(body, metaName); edited && at == meta {
		if o, err := ReadObject(value); err == nil {
			return &o.object
		}
		return &object{}
	}
	return &m.objects[at]
}

// touches reports whether any edit is made in at or further in.
func (m *Message) touches(at scope) bool {
	return slices.ContainsFunc(m.edits, func(e edit) bool { return e.scope >= at })
}

// adds reports whether an edit gives a member of at, or further in, a value.
func (m *Message) adds(at scope) bool {
	return slices.ContainsFunc(m.edits, func(e edit) bool { return e.scope >= at && e.value != nil })
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
