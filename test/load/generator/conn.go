package generator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// maxAnswer is the most bytes of one answer that a connection reads.
const maxAnswer = 64 << 20

// conn is one HTTP/1.1 connection with one request in flight. It is not safe for concurrent use.
type conn struct {
	socket   net.Conn
	timeout  time.Duration
	deadline time.Time
	buffer   []byte // what was read; [start:end] is not used yet
	start    int
	end      int
	joined   []byte // the body of a chunked answer
}

// response is the answer to one request. Its body is valid until the next request.
type response struct {
	head
	body []byte
}

// dial opens a connection; local is the address to call from, or nil.
func dial(ctx context.Context, address string, local net.Addr, timeout time.Duration, buffer int) (*conn, error) {
	dialer := net.Dialer{Timeout: timeout, LocalAddr: local}
	socket, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &conn{socket: socket, timeout: timeout, buffer: make([]byte, buffer)}, nil
}

func (c *conn) close() { _ = c.socket.Close() }

// send sends a request and reads the head of its answer.
func (c *conn) send(request []byte) (head, error) {
	if err := c.extend(); err != nil {
		return head{}, err
	}
	if _, err := c.socket.Write(request); err != nil {
		return head{}, err
	}
	for {
		h, err := c.readHead()
		if err != nil || h.status >= 200 {
			return h, err
		}
	}
}

// roundTrip sends a request and reads its answer. After an error the connection is of no more use.
func (c *conn) roundTrip(request []byte) (response, error) {
	h, err := c.send(request)
	if err != nil {
		return response{}, err
	}
	r := response{head: h}
	switch {
	case h.chunked:
		r.body, err = c.readChunks()
	case h.length > 0:
		r.body, err = c.take(h.length)
	case h.length < 0 && h.status != 204:
		err = errors.New("the answer says neither its length nor that it is chunked")
	}
	return r, err
}

// extend moves the deadline when half of the time is gone: setting it for every call costs as much as parsing an answer.
func (c *conn) extend() error {
	now := time.Now()
	if c.deadline.Sub(now) > c.timeout/2 {
		return nil
	}
	c.deadline = now.Add(c.timeout)
	return c.socket.SetDeadline(c.deadline)
}

// readHead reads up to the empty line.
func (c *conn) readHead() (head, error) {
	searched := 0
	for {
		at := bytes.Index(c.buffer[c.start+searched:c.end], []byte("\r\n\r\n"))
		if at >= 0 {
			text, err := c.take(searched + at + 4)
			if err != nil {
				return head{}, err
			}
			return parseHead(text)
		}
		searched = max(c.end-c.start-3, 0)
		if searched > 64<<10 {
			return head{}, errors.New("the head of the answer is longer than 64 KiB")
		}
		if err := c.fill(1); err != nil {
			return head{}, err
		}
	}
}

// take returns the next n bytes.
func (c *conn) take(n int) ([]byte, error) {
	if n > maxAnswer {
		return nil, fmt.Errorf("the answer has %d bytes, more than are read", n)
	}
	if missing := n - (c.end - c.start); missing > 0 {
		if err := c.fill(missing); err != nil {
			return nil, err
		}
	}
	taken := c.buffer[c.start : c.start+n]
	c.start += n
	return taken, nil
}

// line returns the next line without its end.
func (c *conn) line() ([]byte, error) {
	for {
		if at := bytes.IndexByte(c.buffer[c.start:c.end], '\n'); at >= 0 {
			text, err := c.take(at + 1)
			return bytes.TrimRight(text, "\r\n"), err
		}
		if err := c.fill(1); err != nil {
			return nil, err
		}
	}
}

// readChunks reads a chunked body (RFC 9112 §7.1) into one piece.
func (c *conn) readChunks() ([]byte, error) {
	c.joined = c.joined[:0]
	for {
		chunk, err := c.chunk()
		if err != nil || chunk == nil {
			return c.joined, err
		}
		if c.joined = append(c.joined, chunk...); len(c.joined) > maxAnswer {
			return nil, errors.New("the answer is longer than what is read")
		}
	}
}

// chunk returns the next chunk, or nil at the end of the body.
func (c *conn) chunk() ([]byte, error) {
	text, err := c.line()
	if err != nil {
		return nil, err
	}
	size, err := parseChunkSize(text)
	if err != nil {
		return nil, err
	}
	if size > 0 {
		data, err := c.take(size + 2)
		if err != nil {
			return nil, err
		}
		if string(data[size:]) != "\r\n" {
			return nil, errors.New("a chunk is longer than it says")
		}
		return data[:size], nil
	}
	for { // trailers
		text, err := c.line()
		if err != nil || len(text) == 0 {
			return nil, err
		}
	}
}

// fill reads at least n more bytes. Bytes that were taken before are no longer valid then.
func (c *conn) fill(n int) error {
	if c.start == c.end {
		c.start, c.end = 0, 0
	}
	if len(c.buffer)-c.end < n {
		if unused := c.end - c.start; len(c.buffer) < unused+n {
			grown := make([]byte, 2*(unused+n))
			copy(grown, c.buffer[c.start:c.end])
			c.buffer = grown
		} else {
			copy(c.buffer, c.buffer[c.start:c.end])
		}
		c.start, c.end = 0, c.end-c.start
	}
	for n > 0 {
		got, err := c.socket.Read(c.buffer[c.end:])
		c.end += got
		if n -= got; err != nil && n > 0 {
			return fmt.Errorf("the answer is cut off: %w", err)
		}
	}
	return nil
}
