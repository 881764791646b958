package rpc

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxIDLen bounds the source text of an id in bytes. An id is echoed and kept
// while its call is in flight, so it must not be a way to make us store much.
const maxIDLen = 1024

// ID is a JSON-RPC request id: the exact text of a JSON string or number as it was
// received. The zero ID means that there is none, as in a notification. Two ids
// are the same id only if [ID.Key] says so; comparing IDs with == compares text.
type ID struct{ raw string }

// NumberID returns the id with the decimal text of n. The gateway's own ids are
// short plain integers because some servers round large numbers and others
// answer strings with numbers.
func NumberID(n uint64) ID { return ID{raw: strconv.FormatUint(n, 10)} }

// StringID returns the id that is the JSON string s.
func StringID(s string) ID { return ID{raw: string(AppendString(nil, s))} }

// ParseID reads the text of one JSON string or number of at most 1,024 bytes.
// Anything else, null included, is an error.
func ParseID(text []byte) (ID, error) {
	s := scanner{data: text}
	if !utf8.Valid(text) {
		return ID{}, s.fail("invalid UTF-8")
	}
	s.space()
	start := s.pos
	if err := s.value(0); err != nil {
		return ID{}, err
	}
	raw := text[start:s.pos]
	s.space()
	if s.pos != len(text) {
		return ID{}, s.fail("trailing data after id")
	}
	if string(raw) == "null" {
		return ID{}, &SyntaxError{Offset: start, Reason: "id must be a string or a number"}
	}
	return idFrom(raw, start)
}

// idFrom makes an ID of a scanned value, the zero one of null. The offset is where
// the value stands.
func idFrom(raw []byte, offset int) (ID, error) {
	refuse := func(reason string) (ID, error) {
		return ID{}, &SyntaxError{Offset: offset, Reason: reason}
	}
	if len(raw) > maxIDLen {
		return refuse("id is longer than 1024 bytes")
	}
	switch c := raw[0]; {
	case string(raw) == "null":
		return ID{}, nil
	case c == '"':
		if bytes.IndexByte(raw, '\\') >= 0 {
			if _, err := Unquote(raw); err != nil {
				return refuse("id has an escape that names no character")
			}
		}
	case c == '-' || '0' <= c && c <= '9':
	default:
		return refuse("id must be a string or a number")
	}
	return ID{raw: string(raw)}, nil
}

// IsWhole reports whether the id is a string, or a number without fraction and exponent, which some dialects demand.
func (id ID) IsWhole() bool {
	return id.raw == "" || id.raw[0] == '"' || !strings.ContainsAny(id.raw, ".eE")
}

// IsZero reports whether there is no id.
func (id ID) IsZero() bool { return id.raw == "" }

// Raw returns the id's JSON text, empty for the zero ID.
func (id ID) Raw() string { return id.raw }

// String returns the id for logs and messages: a string without its quotes, a
// number as written.
func (id ID) String() string {
	if id.raw == "" || id.raw[0] != '"' {
		return id.raw
	}
	s, err := Unquote([]byte(id.raw))
	if err != nil {
		return id.raw
	}
	return s
}

// Key returns a text that is equal for two spellings of the same string id and
// differs between a string and a number. Numbers are told apart by their text:
// 1 and 1.0 are different ids, because they are different things to echo.
func (id ID) Key() string {
	if id.raw == "" || id.raw[0] != '"' {
		return id.raw
	}
	return `"` + id.String()
}

// Loose returns the id's text without quotes. Some servers answer the number 7
// with the string "7"; ids the gateway minted are matched by this.
func (id ID) Loose() string { return id.String() }
