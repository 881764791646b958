package frame

import (
	"errors"
	"io"
)

// ErrTooLong says that a peer sent a line or an event above the reader's limit.
var ErrTooLong = errors.New("frame: message exceeds the size limit")

const (
	// firstBuffer is what a reader starts with: room for most messages, and small enough for thousands of idle streams.
	firstBuffer = 4 << 10
	// idleBuffer is the largest buffer a reader keeps once it has nothing unread: one large message on a long-lived
	// stream must not hold its memory for hours.
	idleBuffer = 128 << 10
	// leastRead is the room below which a reader makes more before it reads.
	leastRead = 512
	// maxEmptyReads is how many reads without bytes or error are put up with before a broken io.Reader is reported.
	maxEmptyReads = 100
)

// intake is the growing window of bytes that were read and not yet consumed.
type intake struct {
	src  io.Reader
	buf  []byte
	pos  int // first byte not consumed
	end  int // end of what was read
	seen int // bytes from pos on that are known to hold no line end
}

func (in *intake) reset(src io.Reader) {
	in.src, in.pos, in.end, in.seen = src, 0, 0, 0
}

// slide moves the unconsumed bytes to offset to, which is at or before them.
func (in *intake) slide(to int) {
	if to != in.pos {
		copy(in.buf[to:], in.buf[in.pos:in.end])
		in.end -= in.pos - to
		in.pos = to
	}
}

// full reports that too little room is left for a read that is worth its system call.
func (in *intake) full() bool { return len(in.buf)-in.end < leastRead }

// room makes sure that something can be read, growing the buffer when what the caller keeps fills it.
func (in *intake) room() {
	if in.end == 0 && len(in.buf) > idleBuffer {
		in.buf = nil
	}
	if in.full() {
		grown := make([]byte, max(firstBuffer, 2*len(in.buf)))
		copy(grown, in.buf[:in.end])
		in.buf = grown
	}
}

// read appends what one read returns. Bytes that come together with an error are kept; the error comes again.
func (in *intake) read() error {
	in.room()
	for range maxEmptyReads {
		n, err := in.src.Read(in.buf[in.end:])
		in.end += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}
