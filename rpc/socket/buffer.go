package socket

import "sync"

// Buffer is room for what has just been read. One that is free is likely to be in the processor's cache, and who waits for something
// to read needs none.
type Buffer [4 << 10]byte

var buffers = sync.Pool{New: func() any { return new(Buffer) }}

// NewBuffer returns a buffer with anything in it.
func NewBuffer() *Buffer { return buffers.Get().(*Buffer) }

// Free gives the buffer back. It must not be used any more.
func (b *Buffer) Free() { buffers.Put(b) }
