package rpc

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxMembers bounds the members of any object that is read, because each is
// recorded and compared with the others.
const maxMembers = 10_000

// span is a range of bytes in a message.
type span struct{ from, to int }

// member is one recorded member of an object: its decoded name and the ranges of
// its name, quotes included, and of its value.
type member struct {
	name       string
	key, value span
}

// object is the recorded members of an object in source order, by range into raw.
type object struct {
	raw     []byte
	at      span
	members []member
}

// Object is a JSON object whose members have been found but not decoded. It keeps
// the bytes it was read from.
type Object struct{ object }

// ReadObject finds the members of the object in text, which must be the text of
// one value of a message that was parsed before. Duplicate names are an error,
// since two readers of such an object may see two different things.
func ReadObject(text []byte) (Object, error) {
	s := scanner{data: text}
	s.space()
	if s.peek() != '{' {
		return Object{}, s.fail("expected an object")
	}
	o := object{raw: text}
	if err := s.record(&o, 0, nil); err != nil {
		return Object{}, err
	}
	return Object{o}, nil
}

// Get returns the text of the member called name.
func (o Object) Get(name string) (json.RawMessage, bool) { return o.get(name) }

// Len returns the number of members.
func (o Object) Len() int { return len(o.members) }

// Each calls visit with every member in source order until visit returns false.
func (o Object) Each(visit func(name string, value json.RawMessage) bool) {
	for _, m := range o.members {
		if !visit(m.name, o.raw[m.value.from:m.value.to]) {
			return
		}
	}
}

// Text returns the string value of the member called name. It returns false where
// there is no such member or where it is not a string.
func (o Object) Text(name string) (string, bool) {
	v, ok := o.get(name)
	if !ok || v[0] != '"' {
		return "", false
	}
	s, err := Unquote(v)
	return s, err == nil
}

// Elements splits the array in text, which must be a value of a message that was
// parsed before, into the texts of its elements.
func Elements(text []byte) ([]json.RawMessage, error) {
	s := scanner{data: text}
	s.space()
	if s.peek() != '[' {
		return nil, s.fail("expected an array")
	}
	if err := s.enter(0); err != nil {
		return nil, err
	}
	var out []json.RawMessage
	for s.peek() != ']' {
		start := s.pos
		if err := s.value(1); err != nil {
			return nil, err
		}
		out = append(out, text[start:s.pos])
		done, err := s.next(']')
		if err != nil {
			return nil, err
		}
		if done {
			break
		}
	}
	return out, nil
}

func (o *object) find(name string) *member {
	for i := range o.members {
		if o.members[i].name == name {
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
	return o.raw[m.value.from:m.value.to], true
}

// record reads an object at the scanner's position, nested in level containers.
// It refuses duplicate names and spellings of a reserved name in another case,
// which encoding/json and others take for the name itself. A member for which
// descend returns an object is recorded in its turn.
func (s *scanner) record(o *object, level int, descend func(name string) *object) error {
	o.at.from = s.pos
	var seen map[string]struct{}
	err := s.object(level, func(key span) error {
		name, err := s.name(key)
		if err != nil {
			return err
		}
		if o.has(name, seen) {
			return &SyntaxError{Offset: key.from, Reason: "duplicate member " + Excerpt(name), Ambiguous: true}
		}
		if len(o.members) >= maxMembers {
			return &SyntaxError{Offset: key.from, Reason: "too many members"}
		}
		m := member{name: name, key: key, value: span{from: s.pos}}
		if err := s.recorded(name, level, descend); err != nil {
			return err
		}
		m.value.to = s.pos
		o.members = append(o.members, m)
		seen = o.index(seen)
		return nil
	})
	o.at.to = s.pos
	return err
}

// recorded consumes a member's value, in detail if descend wants it.
func (s *scanner) recorded(name string, level int, descend func(string) *object) error {
	if descend != nil && s.peek() == '{' {
		if inner := descend(name); inner != nil {
			inner.raw = s.data
			return s.record(inner, level+1, func(n string) *object { return descend(name + "." + n) })
		}
	}
	return s.value(level + 1)
}

// manyMembers is where looking names up in a map gets cheaper than comparing.
const manyMembers = 32

func (o *object) has(name string, seen map[string]struct{}) bool {
	if seen != nil {
		_, dup := seen[name]
		return dup
	}
	return o.find(name) != nil
}

func (o *object) index(seen map[string]struct{}) map[string]struct{} {
	if seen == nil {
		if len(o.members) < manyMembers {
			return nil
		}
		seen = make(map[string]struct{}, 4*manyMembers)
		for _, m := range o.members {
			seen[m.name] = struct{}{}
		}
	}
	seen[o.members[len(o.members)-1].name] = struct{}{}
	return seen
}

// reserved are the member names that decide what a message is and whom it is for.
// They are kept once, so that reading them costs no allocation.
var reserved = []string{
	"jsonrpc", "id", "method", "params", "result", "error",
	"name", "uri", "arguments", "_meta", "cursor", "taskId", "requestId",
	"progressToken", "requestState", "inputResponses",
	"io.modelcontextprotocol/protocolVersion",
	"io.modelcontextprotocol/clientCapabilities",
	"io.modelcontextprotocol/clientInfo",
	"io.modelcontextprotocol/logLevel",
}

// name decodes a member name and refuses a reserved name in another case.
func (s *scanner) name(key span) (string, error) {
	text := s.data[key.from:key.to]
	if bare := text[1 : len(text)-1]; bytes.IndexByte(bare, '\\') < 0 {
		for _, r := range reserved {
			if string(bare) == r {
				return r, nil
			}
		}
	}
	name, err := Unquote(text)
	if err != nil {
		return "", &SyntaxError{Offset: key.from, Reason: "member name with an escape that names no character", Ambiguous: true}
	}
	if slices.Contains(reserved, name) {
		return name, nil
	}
	for _, r := range reserved {
		if strings.EqualFold(name, r) {
			return "", &SyntaxError{Offset: key.from, Reason: "member " + Excerpt(name) + " is " + r + " in another case", Ambiguous: true}
		}
	}
	return name, nil
}

// Excerpt quotes at most 64 bytes of text from outside, so that a message about it
// stays short and printable.
func Excerpt(s string) string {
	const limit = 64
	if len(s) > limit {
		cut := limit
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return string(AppendString(nil, strings.Map(printable, s)))
}

// printable replaces what could forge or hide lines in a log: control characters
// and those that change the writing direction.
func printable(r rune) rune {
	switch {
	case r < 0x20, 0x7f <= r && r <= 0x9f, 0x200b <= r && r <= 0x200f, 0x2028 <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069:
		return utf8.RuneError
	}
	return r
}
