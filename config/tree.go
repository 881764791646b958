package config

import (
	"fmt"
	"io"
	"os"
	"slices"
	"unicode/utf8"
)

// Limits on one file. A real configuration stays far below each of them.
const (
	maxFile  = 1 << 20 // bytes of a configuration, or of an env file
	maxDepth = 32      // nested lists and mappings; the format itself needs 6
	maxNodes = 100_000 // values, counting what an alias repeats each time
	maxKey   = 256     // bytes of one key; keys are repeated in the field paths of messages
)

// kind is what a node is before anyone expects a type of it.
type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	list
	mapping
)

// String returns the words for a problem's message.
func (k kind) String() string {
	return [...]string{"nothing", "a truth value", "a number", "text", "a list", "a mapping"}[k]
}

// node is one value of a file with its place. Both readers, YAML and JSON, produce it. A node may be reached by several
// ways (YAML aliases), therefore it is never changed after it was built.
type node struct {
	kind    kind
	at      Position
	text    string // what a text means; of numbers and truth values the source
	items   []*node
	members []member
	size    int // this node and all below it, aliases counted each time
}

// member is one entry of a mapping, in file order. A key may occur twice: what that means is the decoder's to say.
type member struct {
	key   string
	at    Position
	value *node
}

// first returns the value of the first member called key, or nil: in our own files a second one is a problem. n may be nil.
func (n *node) first(key string) *node {
	if n != nil {
		for _, m := range n.members {
			if m.key == key {
				return m.value
			}
		}
	}
	return nil
}

// last returns the value of the last member called key, as JSON.parse does in clients, or nil. n may be nil.
func (n *node) last(key string) *node {
	if n != nil {
		for _, m := range slices.Backward(n.members) {
			if m.key == key {
				return m.value
			}
		}
	}
	return nil
}

// index returns the values by key, of equal keys the first. n may be nil.
func (n *node) index() map[string]*node {
	values := map[string]*node{}
	if n == nil {
		return values
	}
	for _, m := range n.members {
		if _, ok := values[m.key]; !ok {
			values[m.key] = m.value
		}
	}
	return values
}

// settle splits the members into those that count when the last of equal keys holds, and those that do not.
func (n *node) settle() (members, overridden []member) {
	last := make(map[string]int, len(n.members))
	for i, m := range n.members {
		last[m.key] = i
	}
	for i, m := range n.members {
		if last[m.key] == i {
			members = append(members, m)
		} else {
			overridden = append(overridden, m)
		}
	}
	return members, overridden
}

// readBounded returns the content of a file that has at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %s", path, Size(limit))
	}
	return data, nil
}

// checkText finds what neither YAML nor JSON allows and what parsers treat differently: bytes that are no UTF-8, and control characters.
func checkText(file string, data []byte) *Problem {
	at := Position{File: file, Line: 1, Column: 1}
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1:
			return &Problem{Position: at, Message: "the file is not UTF-8", Hint: "save it as UTF-8"}
		case r < ' ' && r != '\n' && r != '\r' && r != '\t', r == 0x7f, r == '\ufeff':
			return &Problem{Position: at, Message: fmt.Sprintf("character %U does not belong in a text file", r), Hint: "remove it"}
		case r == '\n':
			at.Line, at.Column = at.Line+1, 1
		default:
			at.Column++
		}
		data = data[size:]
	}
	return nil
}
