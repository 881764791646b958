package rpc

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Unquote decodes the text of a JSON string, quotes included. Escapes that name
// half a surrogate pair are an error: parsers disagree about what they mean, so
// no name that is routed on may hold one.
func Unquote(text []byte) (string, error) {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return "", &SyntaxError{Reason: "expected a string"}
	}
	body := text[1 : len(text)-1]
	plain := 0
	for plain < len(body) && body[plain] != '\\' {
		plain++
	}
	if plain == len(body) {
		return string(body), nil
	}
	out := append(make([]byte, 0, len(body)), body[:plain]...)
	for i := plain; i < len(body); {
		if body[i] != '\\' {
			out = append(out, body[i])
			i++
			continue
		}
		r, n, ok := unescape(body[i:])
		if !ok {
			return "", &SyntaxError{Offset: i + 1, Reason: "escape that names no character"}
		}
		out = utf8.AppendRune(out, r)
		i += n
	}
	return string(out), nil
}

// reads reports whether the inside of a JSON string decodes to s.
func reads(body []byte, s string) bool {
	for len(body) > 0 {
		r, n, ok := rune(body[0]), 1, true
		if r == '\\' {
			r, n, ok = unescape(body)
		} else if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(body)
		}
		got, size := utf8.DecodeRuneInString(s)
		if !ok || size == 0 || got != r {
			return false
		}
		body, s = body[n:], s[size:]
	}
	return s == ""
}

// unescape decodes the escape at the start of b and says how long it is.
func unescape(b []byte) (r rune, n int, ok bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2, true
	case 'b':
		return '\b', 2, true
	case 'f':
		return '\f', 2, true
	case 'n':
		return '\n', 2, true
	case 'r':
		return '\r', 2, true
	case 't':
		return '\t', 2, true
	}
	high, ok := hex4(b)
	if !ok || !utf16.IsSurrogate(high) {
		return high, 6, ok
	}
	low, ok := hex4(b[6:])
	r = utf16.DecodeRune(high, low)
	return r, 12, ok && r != utf8.RuneError
}

// hex4 reads a \uXXXX escape.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(n), err == nil
}

// AppendString appends s as a JSON string. Only what JSON demands is escaped, and
// bytes that are no UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
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
	return string(AppendString(nil, strings.Map(Printable, s)))
}

// Printable replaces, with [strings.Map], what could forge or hide lines in a log:
// control characters and those that change the writing direction.
func Printable(r rune) rune {
	switch {
	case r < 0x20, 0x7f <= r && r <= 0x9f, r == 0x61c, 0x200b <= r && r <= 0x200f, 0x2028 <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069:
		return utf8.RuneError
	}
	return r
}
