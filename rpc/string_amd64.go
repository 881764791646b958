package rpc

// skipPlain returns how many of the n bytes at text, which are inside a string, need
// no further look. It stops at the quote that ends the string, at what is rare or
// wrong in one, and where fewer than 32 bytes are left.
//
//go:noescape
func skipPlain(text *byte, n int) int

// stride skips bytes of a string that need no further look, from i on.
func stride(text []byte, i int) int {
	if len(text)-i < 32 {
		return i
	}
	return i + skipPlain(&text[i], len(text)-i)
}
