package rpc

import (
	"encoding/json"
	"slices"
)

// span is a range of bytes in a message.
type span struct{ from, to int }

// member is one recorded member of an object: the ranges of its name, quotes
// included, and of its value. It holds no pointers, so that recording costs little.
type member struct {
	key, value span
	escaped    bool // the name is written with escapes
}

// object is the recorded members of an object in source order, by range into raw.
type object struct {
	raw     []byte // nil if there is no such object
	at      span
	members []member
	err     error // what keeps the members from being known
}

// Object is a JSON object whose members have been found but not decoded. It keeps
// the bytes it was read from.
type Object struct{ object }

// ReadObject finds the members of the object in text, which must be the text of
// one value of a message that was parsed before. Duplicate names are an error,
// since two readers of such an object may see two different things.
func ReadObject(text []byte) (Object, error) {
	s := scanner{data: text, depth: MaxDepth}
	s.space()
	if s.peek() != '{' {
		return Object{}, s.fail("expected an object")
	}
	var o [1]object
	if err := s.record(o[:], plainLayer, 0); err != nil {
		return Object{}, err
	}
	return Object{o[0]}, nil
}

// ReadParams finds the members of an object that is to be the params of a message of a
// dialect, in text as [ReadObject] takes it. Names that are reserved there and spelled in
// another way are an error too, as they are to [Parse].
func ReadParams(text []byte, d Dialect) (Object, error) {
	s := scanner{data: text, depth: MaxDepth}
	s.space()
	if s.peek() != '{' {
		return Object{}, s.fail("expected an object")
	}
	l := paramsLayer
	if d == Infer {
		l = inferParams
	}
	var o [scopes]object
	if err := s.record(o[:], l, 0); err != nil {
		return Object{}, err
	}
	return Object{o[body]}, nil
}

// ParseObject reads a text from outside that has to be one JSON object and nothing else, as strictly as [Parse] reads a
// message: valid UTF-8, bounded depth, no duplicate names.
func ParseObject(text []byte) (Object, error) {
	s := scanner{data: text, depth: MaxDepth}
	s.space()
	if s.peek() != '{' {
		return Object{}, s.fail("expected an object")
	}
	var o [1]object
	if err := s.record(o[:], plainLayer, 0); err != nil {
		return Object{}, err
	}
	if s.space(); s.pos != len(text) {
		return Object{}, s.fail("trailing data")
	}
	return Object{o[0]}, nil
}

// Get returns the text of the member called name.
func (o Object) Get(name string) (json.RawMessage, bool) { return o.get(name) }

// Len returns the number of members.
func (o Object) Len() int { return len(o.members) }

// Each calls visit with every member in source order until visit returns false.
func (o Object) Each(visit func(name string, value json.RawMessage) bool) {
	for i := range o.members {
		m := &o.members[i]
		if !visit(string(o.name(m)), o.text(m)) {
			return
		}
	}
}

// Text returns the string value of the member called name. It returns false where
// there is no such member or where it is not a string.
func (o Object) Text(name string) (string, bool) {
	v, ok := o.get(name)
	return text(v, ok)
}

// Elements splits the array in text into the texts of its elements. Text that is no
// JSON array, or has anything but space behind it, is an error; what the elements hold
// is not looked at beyond JSON's grammar.
func Elements(text []byte) ([]json.RawMessage, error) {
	s := scanner{data: text, depth: MaxDepth}
	s.space()
	if s.peek() != '[' {
		return nil, s.fail("expected an array")
	}
	var out []json.RawMessage
	done, err := s.enter(0, ']')
	for !done && err == nil {
		start := s.pos
		if err = s.value(1); err == nil {
			out = append(out, text[start:s.pos])
			done, err = s.next(']')
		}
	}
	if err != nil {
		return nil, err
	}
	if s.space(); s.pos != len(text) {
		return nil, s.fail("trailing data")
	}
	return out, nil
}

func (o *object) find(name string) *member {
	for i := range o.members {
		if o.is(&o.members[i], name) {
			return &o.members[i]
		}
	}
	return nil
}

func (o *object) get(name string) (json.RawMessage, bool) {
	m := o.find(name)
	if m == nil {
		return nil, false
	}
	return o.text(m), true
}

func (o *object) hasOnly(names []string) bool {
	for i := range o.members {
		f := &o.members[i]
		if !slices.ContainsFunc(names, func(name string) bool { return o.is(f, name) }) {
			return false
		}
	}
	return true
}

// name returns a member's decoded name.
func (o *object) name(m *member) []byte {
	if !m.escaped {
		return o.raw[m.key.from+1 : m.key.to-1]
	}
	name, _ := Unquote(o.raw[m.key.from:m.key.to]) // it was decoded once, or there is no such member
	return []byte(name)
}

// is reports whether a member has a name.
func (o *object) is(m *member, name string) bool {
	text := o.raw[m.key.from+1 : m.key.to-1]
	if m.escaped {
		return reads(text, name)
	}
	return string(text) == name
}

// text returns the bytes of a member's value.
func (o *object) text(m *member) json.RawMessage { return o.raw[m.value.from:m.value.to] }
