package rpc

import "encoding/json"

// The body of a message is its params, or its result in a response. The methods
// here look at the body's members and at those of its _meta as they were received,
// without the edits.

// Get returns the text of a member of the body.
func (m *Message) Get(name string) (json.RawMessage, bool) {
	if m.CheckBody() != nil {
		return nil, false
	}
	return m.objects[body].get(name)
}

// Meta returns the text of a member of the body's _meta.
func (m *Message) Meta(name string) (json.RawMessage, bool) {
	if m.CheckBody() != nil {
		return nil, false
	}
	return m.objects[meta].get(name)
}

// Text returns a string member of the body; false if it is absent or no string.
func (m *Message) Text(name string) (string, bool) {
	v, ok := m.Get(name)
	return text(v, ok)
}

// MetaText returns a string member of the body's _meta; false if it is absent or
// no string.
func (m *Message) MetaText(name string) (string, bool) {
	v, ok := m.Meta(name)
	return text(v, ok)
}

// HasOnly reports whether the body has no members but these.
func (m *Message) HasOnly(names ...string) bool {
	return m.CheckBody() == nil && m.objects[body].hasOnly(names)
}

// MetaHasOnly reports whether the body's _meta has no members but these, or is absent.
func (m *Message) MetaHasOnly(names ...string) bool {
	if m.CheckBody() != nil {
		return false
	}
	_, present := m.objects[body].get(metaName)
	return !present || m.objects[meta].raw != nil && m.objects[meta].hasOnly(names)
}

func text(v json.RawMessage, ok bool) (string, bool) {
	if !ok || v[0] != '"' {
		return "", false
	}
	s, err := Unquote(v)
	return s, err == nil
}

// CheckBody says what keeps the body from being read or edited: a result that is no
// object, or names in it that readers understand differently. A request's params
// were checked by [Parse].
func (m *Message) CheckBody() error {
	m.read()
	switch body, meta := &m.objects[body], &m.objects[meta]; {
	case m.Result != nil && body.raw == nil:
		return &SyntaxError{Offset: m.objects[top].find("result").value.from, Reason: "result is not an object"}
	case body.err != nil:
		return body.err
	default:
		return meta.err
	}
}
