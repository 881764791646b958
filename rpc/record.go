package rpc

import (
	"bytes"
)

// maxMembers bounds the members of any object that is recorded, because each is
// kept and compared with the others.
const maxMembers = 10_000

// usualMembers is how many members most objects do not exceed that are read on their own.
const usualMembers = 8

// manyMembers is where looking names up in a map gets cheaper than comparing.
const manyMembers = 32

// scope names an object of a message whose members are recorded, and in which edits
// are made.
type scope uint8

const (
	top  scope = iota // the message itself
	body              // params, or the result of a response
	meta              // the body's _meta
	scopes
)

// layer says how one object is recorded: where to, which names are reserved in it,
// and which of its members are recorded in their turn. Where a layer is lenient, an
// object that readers understand differently is an obstacle to whoever asks for its
// members but none to the message.
type layer struct {
	scope    scope
	reserved [][]byte
	inner    []nested
	lenient  bool
}

type nested struct {
	name  string
	layer *layer
}

func names(list ...string) [][]byte {
	out := make([][]byte, len(list))
	for i, name := range list {
		out[i] = []byte(name)
	}
	return out
}

// child returns the layer of a member, nil if it is not recorded.
func (l *layer) child(name []byte) *layer {
	for i := range l.inner {
		if l.inner[i].name == string(name) {
			return l.inner[i].layer
		}
	}
	return nil
}

// variant returns the reserved name that name is another spelling of, by the rule
// of readers that ignore case, encoding/json among them.
func (l *layer) variant(name []byte) []byte {
	ascii := isASCII(name)
	for _, r := range l.reserved {
		switch {
		case ascii && len(r) != len(name):
		case bytes.Equal(name, r):
			return nil
		case bytes.EqualFold(name, r):
			return r
		}
	}
	return nil
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// makeRoom makes space for the members that messages usually have, so that recording
// them grows nothing.
func (m *Message) makeRoom() {
	const envelope, inner = 4, 6
	members := make([]member, envelope+2*inner)
	m.objects[top].members = members[:0:envelope]
	m.objects[body].members = members[envelope : envelope : envelope+inner]
	m.objects[meta].members = members[envelope+inner : envelope+inner]
}

// record reads the object at the scanner's position, nested in level containers,
// into the place that its layer has in objects.
func (s *scanner) record(objects []object, l *layer, level int) error {
	o := &objects[l.scope]
	*o = object{raw: s.data, at: span{from: s.pos}, members: o.members[:0]}
	var seen map[string]struct{}
	done, err := s.enter(level, '}')
	for !done && err == nil {
		if err = s.recordMember(objects, l, level, &seen); err == nil {
			done, err = s.next('}')
		}
	}
	o.at.to = s.pos
	return err
}

func (s *scanner) recordMember(objects []object, l *layer, level int, seen *map[string]struct{}) error {
	key, err := s.key()
	if err != nil {
		return err
	}
	m := member{key: key, value: span{from: s.pos}}
	m.escaped = bytes.IndexByte(s.data[key.from:key.to], '\\') >= 0
	o := &objects[l.scope]
	name := o.name(&m)
	if o.err == nil {
		if o.err = o.admit(&m, name, l, seen); o.err != nil && !l.lenient {
			return o.err
		}
	}
	if inner := l.child(name); inner != nil && s.peek() == '{' {
		err = s.record(objects, inner, level+1)
	} else {
		err = s.value(level + 1)
	}
	m.value.to = s.pos
	if o.err == nil {
		if o.members == nil {
			o.members = make([]member, 0, usualMembers)
		}
		o.members = append(o.members, m)
	}
	return err
}

// admit refuses a member that readers could take for another one.
func (o *object) admit(m *member, name []byte, l *layer, seen *map[string]struct{}) error {
	fail := func(reason string) error {
		return &SyntaxError{Offset: m.key.from, Reason: reason, Ambiguous: true}
	}
	if len(name) == 0 && m.escaped {
		return fail("member name with an escape that names no character")
	}
	if r := l.variant(name); r != nil {
		return fail("member " + Excerpt(string(name)) + " is " + string(r) + " in another case")
	}
	if o.has(name, *seen) {
		return fail("duplicate member " + Excerpt(string(name)))
	}
	if len(o.members) >= maxMembers {
		return &SyntaxError{Offset: m.key.from, Reason: "too many members"}
	}
	*seen = o.index(*seen, name)
	return nil
}

func (o *object) has(name []byte, seen map[string]struct{}) bool {
	if seen != nil {
		_, dup := seen[string(name)]
		return dup
	}
	for i := range o.members {
		if bytes.Equal(o.name(&o.members[i]), name) {
			return true
		}
	}
	return false
}

// index adds a name to the map of those seen, which exists once there are many.
func (o *object) index(seen map[string]struct{}, name []byte) map[string]struct{} {
	if seen == nil {
		if len(o.members) < manyMembers {
			return nil
		}
		seen = make(map[string]struct{}, 4*manyMembers)
		for i := range o.members {
			seen[string(o.name(&o.members[i]))] = struct{}{}
		}
	}
	seen[string(name)] = struct{}{}
	return seen
}
