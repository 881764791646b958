package pin

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/headgate/headgate/rpc"
)

var errNotJSON = errors.New("not a JSON text")

// Canonical returns the form of a JSON text that is the same however the text was written: no space between
// tokens, members sorted by name, strings with the fewest escapes. It is that of RFC 8785 but for what could hide a
// change: numbers stay as they are written, since a model reads digits that a double does not hold; members that share a
// name stay, in their order; so does an escape that names half a character.
func Canonical(text []byte) ([]byte, error) {
	if !json.Valid(text) {
		return nil, errNotJSON
	}
	w := writer{text: text, out: make([]byte, 0, len(text))}
	w.value()
	return w.out, nil
}

// Hash returns what a definition is approved by: the hash, in hexadecimal, of its canonical form and of the name
// that its server gives itself.
func Hash(server string, canonical []byte) string {
	h := sha256.New()
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(server)))
	h.Write(size[:])
	h.Write([]byte(server))
	h.Write(canonical)
	return hex.EncodeToString(h.Sum(nil))
}

// writer writes valid JSON in its canonical form.
type writer struct {
	text []byte
	at   int
	out  []byte
}

func (w *writer) space() {
	for strings.IndexByte(" \t\r\n", w.text[w.at]) >= 0 {
		w.at++
	}
}

// value writes the value at w.at.
func (w *writer) value() {
	w.space()
	switch w.text[w.at] {
	case '{':
		w.object()
	case '[':
		w.array()
	case '"':
		w.out, _ = appendString(w.out, w.token())
	default:
		start := w.at
		for w.at < len(w.text) && strings.IndexByte(",]} \t\r\n", w.text[w.at]) < 0 {
			w.at++
		}
		w.out = append(w.out, w.text[start:w.at]...)
	}
}

// token steps over a string and returns it, with its quotes.
func (w *writer) token() []byte {
	start := w.at
	for w.at++; w.text[w.at] != '"'; w.at++ {
		if w.text[w.at] == '\\' {
			w.at++
		}
	}
	w.at++
	return w.text[start:w.at]
}

// appendString appends a string in its canonical form, and returns what it says.
func appendString(out, token []byte) ([]byte, string) {
	said, err := rpc.Unquote(token)
	if err != nil || !utf8.Valid(token) {
		return append(out, token...), string(token)
	}
	return rpc.AppendString(out, said), said
}

// more steps over what follows a value and reports whether another one comes.
func (w *writer) more() bool {
	w.space()
	w.at++
	return w.text[w.at-1] == ','
}

// enter steps into an object or an array and reports whether anything is in it.
func (w *writer) enter() bool {
	w.at++
	w.space()
	if w.text[w.at] == ']' || w.text[w.at] == '}' {
		w.at++
		return false
	}
	return true
}

func (w *writer) array() {
	w.out = append(w.out, '[')
	for more := w.enter(); more; {
		w.value()
		if more = w.more(); more {
			w.out = append(w.out, ',')
		}
	}
	w.out = append(w.out, ']')
}

func (w *writer) object() {
	type member struct {
		name string
		text []byte
	}
	var members []member
	begin := len(w.out)
	for more := w.enter(); more; more = w.more() {
		w.space()
		from := len(w.out)
		var name string
		w.out, name = appendString(w.out, w.token())
		w.space()
		w.at++ // the colon
		w.out = append(w.out, ':')
		w.value()
		members = append(members, member{name, bytes.Clone(w.out[from:])})
	}
	slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	w.out = append(w.out[:begin], '{')
	for i, m := range members {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, m.text...)
	}
	w.out = append(w.out, '}')
}
