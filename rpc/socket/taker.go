package socket

// Taker takes what a socket receives.
type Taker interface {
	// Take takes a buffer, which is its own to free, with so many bytes in it, and reports whether more is wanted. It must not close the
	// connection nor read from it.
	Take(b *Buffer, n int) (more bool)
}
