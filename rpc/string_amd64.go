package rpc

// skipText returns how many of the n bytes at text, which are inside a string, need
// no further look. It stops at the quote that ends the string, at what is rare or
// wrong in one, and where fewer than 64 bytes are left; never within an escape or a
// character. It needs AVX2.
//
//go:noescape
func skipText(text *byte, n int) int

// hasAVX2 asks the processor.
func hasAVX2() bool

var avx2 = hasAVX2()

// stride skips bytes of a string that need no further look, from i on.
func stride(text []byte, i int) int {
	if len(text)-i < 64 || !avx2 {
		return i
	}
	return i + skipText(&text[i], len(text)-i)
}
