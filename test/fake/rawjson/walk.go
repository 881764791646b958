package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
)

// ErrMalformed says that a text is not the object or array it should be.
var ErrMalformed = errors.New("malformed JSON")

// Object calls visit with the name and the value of each member of the object in text, in order. Both are sub-slices of
// text: the name is without its quotes and as written (escapes are not resolved), the value without the white space
// around it. When visit returns false the walk ends at once and the rest is not looked at. Anything but white space
// after the object is an error.
func Object(text []byte, visit func(name, value []byte) bool) error {
	return walk(text, '{', '}', func(rest []byte) (int, bool) {
		nameEnd := stringEnd(rest)
		if nameEnd < 0 {
			return -1, false
		}
		colon := skipSpace(rest, nameEnd)
		if colon == len(rest) || rest[colon] != ':' {
			return -1, false
		}
		start := skipSpace(rest, colon+1)
		length := valueEnd(rest[start:])
		if length < 0 {
			return -1, false
		}
		return start + length, visit(rest[1:nameEnd-1], rest[start:start+length])
	})
}

// Array calls visit with each element of the array in text, in order, as Object does with members.
func Array(text []byte, visit func(value []byte) bool) error {
	return walk(text, '[', ']', func(rest []byte) (int, bool) {
		length := valueEnd(rest)
		if length < 0 {
			return -1, false
		}
		return length, visit(rest[:length])
	})
}

// Member returns the value of the first member of the object in text that is called name, or nil when there is none or
// the text before it is malformed.
func Member(text []byte, name string) []byte {
	var found []byte
	err := Object(text, func(n, value []byte) bool {
		if string(n) == name {
			found = value
		}
		return found == nil
	})
	if err != nil {
		return nil
	}
	return found
}

// Text resolves the JSON string in value, quotes included. It returns ErrMalformed when value is no string.
func Text(value []byte) (string, error) {
	if len(value) < 2 || value[0] != '"' {
		return "", ErrMalformed
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), nil
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return "", ErrMalformed
	}
	return text, nil
}

// walk reads the container between the bytes opening and closing. item reads one item at the start of its argument and
// returns its length, or a negative number when it is malformed, and whether to go on.
func walk(text []byte, opening, closing byte, item func(rest []byte) (int, bool)) error {
	at := skipSpace(text, 0)
	if at == len(text) || text[at] != opening {
		return ErrMalformed
	}
	at = skipSpace(text, at+1)
	if at < len(text) && text[at] == closing {
		return end(text, at+1)
	}
	for {
		length, more := item(text[at:])
		if length < 0 {
			return ErrMalformed
		}
		if !more {
			return nil
		}
		at = skipSpace(text, at+length)
		switch {
		case at == len(text):
			return ErrMalformed
		case text[at] == closing:
			return end(text, at+1)
		case text[at] != ',':
			return ErrMalformed
		}
		at = skipSpace(text, at+1)
	}
}

// end reports whether only white space follows at.
func end(text []byte, at int) error {
	if skipSpace(text, at) != len(text) {
		return ErrMalformed
	}
	return nil
}
