package infer

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/headgate/headgate/rpc"
)

// textMember is the member of a chunk that has its text.
const textMember = "text"

// Members of chunks whose strings go on in the next chunk. Others are said once, or again.
var continued = map[string]bool{
	textMember: true, "content": true, "reasoning": true, "reasoning_content": true, "thinking": true, "refusal": true, "arguments": true,
}

// Bounds of what chunks are made into.
const (
	maxChoices = 128
	maxNesting = 16
)

var errShape = errors.New("what continues an earlier chunk is of another kind")

// choices are the answers that chunks belong to, by their index.
type choices map[int]*node

// add takes a chunk.
func (c *choices) add(chunk json.RawMessage) error {
	o, err := rpc.ReadObject(chunk)
	if err != nil {
		return err
	}
	index := 0
	if v, ok := o.Get("index"); ok {
		if index, err = strconv.Atoi(string(v)); err != nil || index < 0 || index >= maxChoices {
			return errors.New("the index of a chunk is not a small whole number")
		}
	}
	if *c == nil {
		*c = choices{}
	}
	n := (*c)[index]
	if n == nil {
		n = &node{}
		(*c)[index] = n
	}
	return n.object(o, 0, "index")
}

// first is the answer that is one without a choice.
func (c choices) first() *node {
	if n := c[0]; n != nil {
		return n
	}
	return &node{}
}

// further are the other answers, as an array; nil for none.
func (c choices) further() json.RawMessage {
	var out []byte
	for _, index := range slices.Sorted(maps.Keys(c)) {
		if index == 0 {
			continue
		}
		o := members{}
		o.set("index", strconv.AppendInt(nil, int64(index), 10))
		c[index].each(func(name string, value json.RawMessage) {
			if name == textMember {
				name = "output"
			}
			o.set(name, value)
		})
		out = o.append(append(out, ','))
	}
	if out == nil {
		return nil
	}
	out[0] = '['
	return append(out, ']')
}

// node is a value that is put together from several. One of its fields but names is set.
type node struct {
	text   []byte          // of a string that goes on, without quotes, as it was escaped
	said   bool            // there is a text
	last   json.RawMessage // a value that takes the place of what was before
	list   []*node
	listed bool
	names  []string // of members, in the order of their first mention
	of     map[string]*node
}

// take adds a value that a name stands for.
func (n *node) take(name string, value json.RawMessage, depth int) error {
	switch {
	case string(value) == "null":
		if n.empty() {
			n.last = json.RawMessage("null")
		}
		return nil
	case depth > maxNesting:
		return errors.New("nested too deep")
	case value[0] == '"' && continued[name]:
		if n.listed || n.of != nil {
			return errShape
		}
		n.text, n.said, n.last = append(n.text, value[1:len(value)-1]...), true, nil
		return nil
	case value[0] == '{':
		o, err := rpc.ReadObject(value)
		if err != nil {
			return err
		}
		return n.object(o, depth, "")
	case value[0] == '[':
		return n.array(name, value, depth)
	}
	if n.said || n.listed || n.of != nil {
		return errShape
	}
	n.last = bytes.Clone(value)
	return nil
}

func (n *node) empty() bool { return !n.said && !n.listed && n.of == nil && n.last == nil }

// object adds the members of an object but one.
func (n *node) object(o rpc.Object, depth int, but string) (err error) {
	if n.said || n.listed {
		return errShape
	}
	if n.of == nil {
		n.of, n.last = map[string]*node{}, nil
	}
	o.Each(func(name string, value json.RawMessage) bool {
		if name == but {
			return true
		}
		child := n.of[name]
		if child == nil {
			child = &node{}
			n.of[name] = child
			n.names = append(n.names, name)
		}
		err = child.take(name, value, depth+1)
		return err == nil
	})
	return err
}

// array adds the elements of an array: those that have an index to the element of that index, others at the end, as they are: nothing
// goes on with them.
func (n *node) array(name string, value json.RawMessage, depth int) error {
	if n.said || n.of != nil {
		return errShape
	}
	elements, err := rpc.Elements(value)
	if err != nil {
		return err
	}
	n.listed, n.last = true, nil
	for _, e := range elements {
		index := indexOf(e)
		into := n.element(index)
		if into == nil {
			into = &node{}
			n.list = append(n.list, into)
		}
		if index == nil {
			into.last = bytes.Clone(e)
			continue
		}
		if err := into.take(name, e, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// element finds the element that one with an index goes on with; nil if it begins one.
func (n *node) element(index json.RawMessage) *node {
	if index == nil {
		return nil
	}
	i := slices.IndexFunc(n.list, func(e *node) bool {
		known := e.of["index"]
		return known != nil && bytes.Equal(known.last, index)
	})
	if i < 0 {
		return nil
	}
	return n.list[i]
}

func indexOf(value json.RawMessage) json.RawMessage {
	if value[0] != '{' {
		return nil
	}
	o, err := rpc.ReadObject(value)
	if err != nil {
		return nil
	}
	index, _ := o.Get("index")
	return index
}

// each calls visit with the members of an object.
func (n *node) each(visit func(name string, value json.RawMessage)) {
	for _, name := range n.names {
		visit(name, n.of[name].append(nil))
	}
}

// append appends the text of the value.
func (n *node) append(dst []byte) []byte {
	switch {
	case n.said:
		return append(append(append(dst, '"'), n.text...), '"')
	case n.listed:
		dst = append(dst, '[')
		for i, e := range n.list {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = e.append(dst)
		}
		return append(dst, ']')
	case n.of != nil:
		o := members{}
		n.each(o.set)
		return o.append(dst)
	case n.last == nil:
		return append(dst, "null"...)
	}
	return append(dst, n.last...)
}
