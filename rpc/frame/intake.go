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

// Lender is a reader that can show what it has read instead of copying it.
type Lender interface {
	io.Reader
	// Lend waits until there is something and returns it. The borrower may write to the bytes, which are good until the next Lend or Read.
	// There is no error beside them.
	Lend() ([]byte, error)
}

// intake is the growing window of bytes that were read and not yet consumed.
type intake struct {
	src  io.Reader
	lend Lender // the source, if it lends
	own  []byte // the buffer of our own while buf is lent
	lent bool
	buf  []byte
	pos  int // first byte not consumed
	end  int // end of what was read
	seen int // bytes from pos on that are known to hold no line end
}

func (in *intake) reset(src io.Reader) {
	in.giveBack()
	in.src, in.pos, in.end, in.seen = src, 0, 0, 0
	in.lend, _ = src.(Lender)
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
	if in.lent {
		kept := in.buf[:in.end]
		if in.giveBack(); len(in.buf) < len(kept)+leastRead {
			in.buf = make([]byte, max(firstBuffer, 2*len(kept)))
		}
		copy(in.buf, kept)
	}
	if in.end == 0 && len(in.buf) > idleBuffer {
		in.buf = nil
	}
	if in.full() {
		grown := make([]byte, max(firstBuffer, 2*len(in.buf)))
		copy(grown, in.buf[:in.end])
		in.buf = grown
	}
}

// borrow reads what is lent, where nothing is kept.
func (in *intake) borrow() error {
	in.giveBack()
	p, err := in.lend.Lend()
	if err != nil {
		return err
	}
	if len(in.buf) <= idleBuffer {
		in.own = in.buf
	}
	in.buf, in.end, in.lent = p, len(p), true
	return nil
}

// giveBack takes the buffer of our own again.
func (in *intake) giveBack() {
	if in.lent {
		in.buf, in.own, in.lent = in.own, nil, false
	}
}

// read appends what one read returns. Bytes that come together with an error are kept; the error comes again.
func (in *intake) read() error {
	if in.lend != nil && in.end == 0 {
		return in.borrow()
	}
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
