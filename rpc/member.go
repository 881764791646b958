package rpc

import "encoding/json"

// The body of a message is its params, or its result in a response. The methods
// here look at the body's members and at those of its _meta as they were received,
// without the edits.

// Get returns the text of a member of the body.
func (m *Message) Get(name string) (json.RawMessage, bool) {
	if m.readBody() != nil {
		return nil, false
	}
	return m.body.get(name)
}

// Meta returns the text of a member of the body's _meta.
func (m *Message) Meta(name string) (json.RawMessage, bool) {
	if m.readBody() != nil {
		return nil, false
	}
	return m.meta.get(name)
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

func text(v json.RawMessage, ok bool) (string, bool) {
	if !ok || v[0] != '"' {
		return "", false
	}
	s, err := Unquote(v)
	return s, err == nil
}

// CheckBody says what keeps the body from being read: a result that is no object,
// or duplicate names in it. A request's params were checked by [Parse].
func (m *Message) CheckBody() error { return m.readBody() }

// readBody records the members of a result when somebody first asks for one:
// results that are relayed as they are need no second look.
func (m *Message) readBody() error {
	if m.Result == nil || m.read {
		return nil
	}
	s := scanner{data: m.top.raw, depth: 2 * DefaultDepth}
	s.pos = m.top.find("result").value.from
	if s.peek() != '{' {
		return s.fail("result is not an object")
	}
	m.body, m.meta = object{raw: m.top.raw}, object{}
	err := s.record(&m.body, 1, func(path string) *object {
		if path == "_meta" {
			return &m.meta
		}
		return nil
	})
	m.read = err == nil
	return err
}
