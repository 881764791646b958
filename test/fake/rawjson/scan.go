package rawjson

import "bytes"

// skipSpace returns the index of the first byte at or after at that is not white space.
func skipSpace(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r') {
		at++
	}
	return at
}

// stringEnd returns the length of the string at the start of text, quotes included, or -1. A quote ends a string when an
// even number of backslashes precedes it, so that a long text costs one search and not one look per byte.
func stringEnd(text []byte) int {
	if len(text) == 0 || text[0] != '"' {
		return -1
	}
	for at := 1; ; {
		next := bytes.IndexByte(text[at:], '"')
		if next < 0 {
			return -1
		}
		quote := at + next
		slashes := quote
		for slashes > 1 && text[slashes-1] == '\\' {
			slashes--
		}
		if (quote-slashes)%2 == 0 {
			return quote + 1
		}
		at = quote + 1
	}
}

// valueEnd returns the length of the value at the start of text, or -1.
func valueEnd(text []byte) int {
	if len(text) == 0 {
		return -1
	}
	switch text[0] {
	case '"':
		return stringEnd(text)
	case '{', '[':
		return containerEnd(text)
	default:
		return literalEnd(text)
	}
}

// containerEnd returns the length of the object or array at the start of text, or -1. It counts brackets of both kinds
// together; that they match in kind is a validator's business.
func containerEnd(text []byte) int {
	depth := 0
	for at := 0; at < len(text); at++ {
		switch text[at] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		case '"':
			length := stringEnd(text[at:])
			if length < 0 {
				return -1
			}
			at += length - 1
		}
	}
	return -1
}

// literalEnd returns the length of the number, true, false or null at the start of text, or -1.
func literalEnd(text []byte) int {
	at := 0
	for at < len(text) && isLiteral(text[at]) {
		at++
	}
	if at == 0 {
		return -1
	}
	return at
}

func isLiteral(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'E'
}
