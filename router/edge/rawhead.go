package edge

import (
	"bytes"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
)

// net/http repairs what RFC 9112 lets a server refuse: it drops Content-Length beside
// Transfer-Encoding, and takes bare line feeds and folded lines. A proxy in front
// that repairs differently sees other requests than we do, so a client can hide one
// request in another (request smuggling). What was repaired cannot be seen in an
// http.Request, hence this look at the bytes as they arrive.

// Listener returns a listener whose connections [Server] watches for requests that
// two readers could cut differently. It is for plain HTTP; behind TLS nobody but us
// has cut the requests before.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{Conn: c}, nil
}

// watchedConn follows the requests on a connection. What it finds stays: there is no
// way to tell where the next request begins after one that is ambiguous.
type watchedConn struct {
	net.Conn
	cut   cutter // used by whoever reads, which net/http lets one goroutine do at a time
	fault atomic.Pointer[string]
	coded atomic.Bool // a request had a Transfer-Encoding
	out   joined
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.cut.fault == "" {
		c.cut.feed(p[:n])
		if c.cut.fault != "" {
			c.fault.Store(&c.cut.fault)
		}
		if c.cut.coded {
			c.coded.Store(true)
		}
	}
	return n, err
}

// CloseWrite lets net/http end its side first, so that the client can read the
// answer to a request that was not read to its end.
func (c *watchedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// ambiguity says what is wrong with the requests so far; empty if nothing is.
func (c *watchedConn) ambiguity(http11 bool) string {
	if f := c.fault.Load(); f != nil {
		return *f
	}
	if !http11 && c.coded.Load() {
		return "Transfer-Encoding in an HTTP/1.0 request"
	}
	return ""
}

// part is what the next bytes of a connection belong to.
type part uint8

const (
	requestLine part = iota
	fieldLines
	content
	chunkLine
	chunkContent
	chunkEnd
	trailerLines
)

// cutter cuts a stream of HTTP/1.1 requests as RFC 9112 says and stops at the first
// thing that others might cut differently. It keeps no more than the beginning of a
// line.
type cutter struct {
	part      part
	line      [64]byte // how the current line begins
	size      int      // its length so far
	last      byte     // its last byte so far
	remaining int64    // bytes of content to come
	length    int64    // Content-Length of the current request, -1 if there is none
	coded     bool     // the current request has a Transfer-Encoding
	fault     string
}

func (c *cutter) feed(p []byte) {
	for len(p) > 0 && c.fault == "" {
		if c.part == content || c.part == chunkContent {
			p = p[c.skip(len(p)):]
			continue
		}
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			c.collect(p)
			return
		}
		c.collect(p[:i])
		p = p[i+1:]
		switch {
		case c.fault != "":
		case c.last != '\r':
			c.fault = "line that ends without carriage return"
		default:
			c.endLine(c.line[:min(c.size-1, len(c.line))])
			c.size, c.last = 0, 0
		}
	}
}

// skip passes over content.
func (c *cutter) skip(n int) int {
	n = int(min(int64(n), c.remaining))
	if c.remaining -= int64(n); c.remaining == 0 {
		if c.part == content {
			c.part = requestLine
		} else {
			c.part = chunkEnd
		}
	}
	return n
}

func (c *cutter) collect(p []byte) {
	if len(p) == 0 {
		return
	}
	if c.last == '\r' || bytes.IndexByte(p[:len(p)-1], '\r') >= 0 {
		c.fault = "carriage return within a line"
	}
	if c.size < len(c.line) {
		copy(c.line[c.size:], p)
	}
	c.size += len(p)
	c.last = p[len(p)-1]
}

// endLine takes a line without its end, cut to what is kept.
func (c *cutter) endLine(line []byte) {
	switch c.part {
	case content, chunkContent: // has no lines
	case requestLine:
		if len(line) > 0 {
			c.part, c.length, c.coded = fieldLines, -1, false
		}
	case fieldLines:
		c.field(line)
	case chunkLine:
		c.chunk(line)
	case chunkEnd:
		c.part = chunkLine
		if len(line) > 0 {
			c.fault = "chunk that is longer than it says"
		}
	case trailerLines:
		switch {
		case len(line) == 0:
			c.part = requestLine
		case isFolded(line):
			c.fault = "folded header line"
		}
	}
}

func isFolded(line []byte) bool { return line[0] == ' ' || line[0] == '\t' }

func (c *cutter) field(line []byte) {
	switch {
	case len(line) == 0:
		c.endHead()
		return
	case isFolded(line):
		c.fault = "folded header line"
		return
	}
	name, value, _ := bytes.Cut(line, []byte{':'})
	switch {
	case strings.EqualFold(string(name), "Content-Length"):
		n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 63)
		if err != nil || c.length >= 0 || c.size > len(c.line) {
			c.fault = "Content-Length that is repeated or no number"
		}
		c.length = int64(n)
	case strings.EqualFold(string(name), "Transfer-Encoding"):
		if !strings.EqualFold(string(bytes.TrimSpace(value)), "chunked") || c.coded || c.size > len(c.line) {
			c.fault = "Transfer-Encoding other than chunked"
		}
		c.coded = true
	}
}

// endHead decides how the content is cut (RFC 9112 §6.3).
func (c *cutter) endHead() {
	switch {
	case c.coded && c.length >= 0:
		c.fault = "Content-Length together with Transfer-Encoding"
	case c.coded:
		c.part = chunkLine
	case c.length > 0:
		c.part, c.remaining = content, c.length
	default:
		c.part = requestLine
	}
}

// chunk reads the line before a chunk (RFC 9112 §7.1). Extensions mean nothing.
func (c *cutter) chunk(line []byte) {
	size, _, _ := bytes.Cut(line, []byte{';'})
	n, err := strconv.ParseUint(string(bytes.TrimRight(size, " \t")), 16, 63)
	switch {
	case err != nil || c.size > len(c.line) && !bytes.Contains(line, []byte{';'}):
		c.fault = "chunk without a size"
	case n == 0:
		c.part = trailerLines
	default:
		c.part, c.remaining = chunkContent, int64(n)
	}
}
