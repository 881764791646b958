package model

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/headgate/headgate/rpc"
)

// member is one member of an object, its value as it was received.
type member struct {
	name  string
	value []byte
}

// writer puts an object together of members that come from several others. Of two with one name the first stays.
type writer struct {
	text  []byte
	names []string
	room  [12]string // of names, for the usual number of them
}

// add writes a member.
func (w *writer) add(name string, value []byte) {
	if w.names == nil {
		w.names = w.room[:0]
	}
	if slices.Contains(w.names, name) {
		return
	}
	w.names = append(w.names, name)
	w.put(name, value)
}

// number writes a member that is a number.
func (w *writer) number(name string, n int64) { w.add(name, strconv.AppendInt(nil, n, 10)) }

// string writes a member that is a string.
func (w *writer) string(name, s string) { w.add(name, rpc.AppendString(nil, s)) }

// optional writes a member that is there.
func (w *writer) optional(name string, value []byte) {
	if value != nil {
		w.add(name, value)
	}
}

// members writes what was kept.
func (w *writer) members(kept []member) {
	for _, m := range kept {
		w.add(m.name, m.value)
	}
}

// put writes a member of an object that is written anew, in which no name comes twice.
func (w *writer) put(name string, value []byte) {
	if w.text[len(w.text)-1] != '{' {
		w.text = append(w.text, ',')
	}
	w.text = append(rpc.AppendString(w.text, name), ':')
	w.text = append(w.text, value...)
}

// rest writes the members of an object that are not among those, and not null: what a server does not have it often
// writes so.
func (w *writer) rest(o rpc.Object, except ...string) {
	o.Each(func(name string, value json.RawMessage) bool {
		if !slices.Contains(except, name) && string(value) != "null" {
			w.add(name, value)
		}
		return true
	})
}

// What is kept of members that streams repeat in each part.
const (
	maxKept      = 64
	maxKeptBytes = maxLine
)

// keep notes the members of an object that are not among those, and not null. Of two with one name the last stays.
func keep(kept []member, o rpc.Object, except ...string) []member {
	size := 0
	for _, m := range kept {
		size += len(m.value)
	}
	o.Each(func(name string, value json.RawMessage) bool {
		if slices.Contains(except, name) || string(value) == "null" {
			return true
		}
		at := slices.IndexFunc(kept, func(m member) bool { return m.name == name })
		switch {
		case at >= 0 && bytes.Equal(kept[at].value, value):
		case size+len(value) > maxKeptBytes:
		case at >= 0:
			size += len(value)
			kept[at].value = bytes.Clone(value)
		case len(kept) < maxKept:
			size += len(value)
			kept = append(kept, member{name, bytes.Clone(value)})
		}
		return true
	})
	return kept
}
