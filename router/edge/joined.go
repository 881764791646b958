package edge

import "net"

// net/http sends an answer that is larger than its buffer in two writes: as much as
// the buffer holds, the header with it, and then the rest. Each is a system call,
// and each wakes the client.

// bufferSize is the size of net/http's buffer in front of a connection.
const bufferSize = 4 << 10

// joined makes one write of two: what is written first waits for what follows.
type joined struct {
	on    bool
	first []byte
}

// join begins to hold back the first write, with room for it in buf. It is for the
// goroutine that answers, as are Write and part.
func (c *watchedConn) join(buf []byte) { c.out = joined{on: true, first: buf[:0]} }

// part sends what is still held back and ends what join began.
func (c *watchedConn) part() error {
	first := c.out.first
	c.out = joined{}
	if len(first) == 0 {
		return nil
	}
	_, err := c.Conn.Write(first)
	return err
}

// Write implements [net.Conn].
func (c *watchedConn) Write(p []byte) (int, error) {
	switch {
	case !c.out.on:
		return c.Conn.Write(p)
	case len(c.out.first) == 0 && len(p) <= bufferSize:
		c.out.first = append(c.out.first, p...)
		return len(p), nil
	}
	both := net.Buffers{c.out.first, p}
	held := len(c.out.first)
	c.out = joined{}
	n, err := both.WriteTo(c.Conn)
	return max(int(n)-held, 0), err
}
