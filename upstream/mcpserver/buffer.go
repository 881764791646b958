package mcpserver

import "sync"

// maxPooled is the largest buffer that is kept for another message.
const maxPooled = 1 << 20

// buffer holds the bytes of one message. Whoever has it gives it back exactly once.
type buffer struct{ bytes []byte }

// pool lends buffers. The zero value is ready.
type pool struct{ free sync.Pool }

// shared is the pool of all servers: what one has no use for, another can have.
var shared pool

func (p *pool) get() *buffer {
	if b, ok := p.free.Get().(*buffer); ok {
		return b
	}
	return &buffer{}
}

// put takes a buffer back. Nil is nothing to take back.
func (p *pool) put(b *buffer) {
	if b == nil || cap(b.bytes) > maxPooled {
		return
	}
	b.bytes = b.bytes[:0]
	p.free.Put(b)
}
