package upstream

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/headgate/headgate/rpc/socket"
)

const (
	// connBuffer is the size of the buffer of a connection. It holds a usual header with a small body behind it. Larger bodies go past
	// it, into the caller's buffer.
	connBuffer = len(socket.Buffer{})
	// settleReads and settleTimeout bound what may still be read of an answer that was finished early.
	settleReads   = 4
	settleTimeout = 20 * time.Millisecond
)

// readiness is what settling an idle connection led to.
type readiness uint8

const (
	broken  readiness = iota // of no use any more
	waiting                  // for the end of an answer that was finished early
	ready
)

// conn is one connection with what has been read from it and not yet used. It has one user at a time; only abort may be
// called by others.
type conn struct {
	nc     net.Conn       // speaks HTTP
	wire   net.Conn       // what is beneath TLS, or nc
	in     io.Reader      // what is read of nc
	socket *socket.Socket // of wire; nil if the system cannot be asked about it
	abort  func()         // closes the wire at once, made once

	buf      []byte         // nil while there is nothing in it
	room     *socket.Buffer // that buf is; nil where it is none, or has grown
	pos, end int            // unread bytes of buf

	rest    framing   // what is left of an answer that was finished early
	expires time.Time // when idle
}

func newConn(nc, wire net.Conn) *conn {
	c := &conn{nc: nc, wire: wire, in: nc, socket: socket.Of(wire), rest: framing{done: true}}
	c.abort = func() { _ = wire.Close() }
	if c.plain() {
		c.in = c.socket
	}
	return c
}

// close says good-bye, which over TLS is a message of its own.
func (c *conn) close() { _ = c.nc.Close() }

func (c *conn) unread() []byte { return c.buf[c.pos:c.end] }

// plain reports that what the socket takes is what is sent.
func (c *conn) plain() bool { return c.nc == c.wire && c.socket != nil }

// fill reads once into the buffer, behind what is unread.
func (c *conn) fill() error {
	if c.pos == c.end {
		c.release()
		if c.plain() {
			return c.receive()
		}
		c.take()
	}
	if c.end == len(c.buf) {
		c.slide()
	}
	n, err := c.in.Read(c.buf[c.end:])
	c.end += n
	if n > 0 {
		return nil // should there be an error too, it comes again
	}
	return err
}

// receive reads once into a buffer that it does not hold while it waits.
func (c *conn) receive() error {
	room, n, err := c.socket.Receive()
	if err != nil {
		return err
	}
	c.room, c.buf, c.end = room, room[:], n
	return nil
}

// take gives the connection a buffer.
func (c *conn) take() {
	c.room = socket.NewBuffer()
	c.buf = c.room[:]
}

// release takes the buffer away, in which nothing is.
func (c *conn) release() {
	if c.room != nil {
		c.room.Free()
	}
	c.room, c.buf, c.pos, c.end = nil, nil, 0, 0
}

// slide makes room behind what is unread.
func (c *conn) slide() {
	unread := c.unread()
	if c.pos > 0 {
		c.pos, c.end = 0, copy(c.buf, unread)
		return
	}
	grown := make([]byte, 2*len(c.buf))
	n := copy(grown, unread)
	c.release()
	c.buf, c.end = grown, n
}

// readPast reads payload into p without passing it through the buffer. Up to want bytes are payload; the reading goes a little
// further if p has the room, since the end of a chunk usually arrives with it, and puts that into the buffer, which is
// empty. It returns how many bytes of p are payload.
func (c *conn) readPast(p []byte, want int64, further bool) (int, error) {
	c.release()
	most := want
	if further {
		most += int64(connBuffer)
	}
	n, err := c.in.Read(p[:min(int64(len(p)), most)])
	if int64(n) > want {
		c.take()
		c.end = copy(c.buf, p[want:n])
		n = int(want)
	}
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// settle says whether an idle connection can serve again, without waiting for its peer.
func (c *conn) settle() readiness {
	for range settleReads {
		if c.discard() != nil || c.rest.done && c.pos < c.end {
			return broken
		}
		some, err := c.poll()
		switch {
		case err != nil || some && c.rest.done:
			// What nobody asked for would be taken for the answer to the next request (RFC 9112 §9.2).
			return broken
		case c.rest.done:
			c.shrink()
			return ready
		case !some:
			return waiting
		}
	}
	return broken
}

// poll reads what is there, without waiting, and reports whether there was something.
func (c *conn) poll() (bool, error) {
	state := socket.Quiet
	if c.socket != nil {
		state = c.socket.Look()
	}
	var until time.Time
	switch {
	case state == socket.Gone:
		return false, io.EOF
	case state == socket.Readable:
		until = time.Now().Add(settleTimeout) // over TLS what is there need not be a whole record
	case c.nc == c.wire:
		return false, nil
	default:
		until = time.Unix(1, 0) // TLS may hold a record that was read together with an earlier one
	}
	_ = c.nc.SetReadDeadline(until)
	err := c.fill()
	_ = c.nc.SetReadDeadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return err == nil, err
}

// discard drops what is in the buffer of the answer that was finished early.
func (c *conn) discard() error {
	for {
		n, err := c.rest.skip(c.unread())
		c.pos += n
		if err != nil || c.rest.done || c.pos == c.end {
			return err
		}
		n = int(min(c.rest.left, int64(c.end-c.pos)))
		c.pos += n
		c.rest.took(n)
	}
}

// shrink makes the connection as small as a new one.
func (c *conn) shrink() {
	if c.pos == c.end {
		c.release()
	}
}

// cut names the end of a connection in the middle of something.
func cut(err error) error {
	if err == io.EOF { //nolint:errorlint // net.Conn returns io.EOF itself
		return io.ErrUnexpectedEOF
	}
	return err
}
