package http1

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// maxChunkLine bounds the line before a chunk, and each line of a trailer.
const maxChunkLine = 1 << 10

var (
	errTooLong  = errors.New("http1: a line is too long")
	errChunk    = errors.New("http1: content is not in proper chunks")
	errFinished = errors.New("http1: content was read after the answer")
)

// body is the content of a request.
type body struct {
	conn    *conn
	left    int64 // of the content, or of the chunk
	chunked bool
	inside  bool // a chunk, whose end is still to be read
	expects bool // the client waits to be told to go on (RFC 9110 §10.1.1)
	over    bool // all of it was read
	closed  bool
	err     error
}

var _ io.ReadCloser = (*body)(nil)

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	switch {
	case b.closed:
		return 0, errFinished
	case b.over:
		return 0, io.EOF
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	}
	if b.expects {
		b.expects = false
		if b.err = b.conn.out.goOn(); b.err != nil {
			return 0, b.err
		}
	}
	if b.conn.r == b.conn.w {
		b.conn.mayRead()
	}
	n, err := b.readSome(p)
	if err == nil && b.over {
		err = io.EOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

func (b *body) readSome(p []byte) (int, error) {
	if b.chunked && b.left == 0 {
		if err := b.nextChunk(); err != nil || b.over {
			return 0, err
		}
	}
	n, err := b.conn.read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case b.left == 0 && !b.chunked:
		b.end()
		return n, nil
	case n > 0:
		return n, nil
	case errors.Is(err, io.EOF):
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *body) end() {
	b.over = true
	b.conn.watch.content()
}

// nextChunk reads what stands between chunks (RFC 9112 §7.1).
func (b *body) nextChunk() error {
	if b.inside {
		line, err := b.line()
		if err != nil {
			return err
		}
		if len(line) > 0 {
			return errChunk
		}
		b.inside = false
	}
	line, err := b.line()
	if err != nil {
		return err
	}
	size, ok := chunkSize(line)
	switch {
	case !ok:
		return errChunk
	case size > 0:
		b.left, b.inside = size, true
		return nil
	}
	return b.trailer()
}

// chunkSize reads the line before a chunk. Extensions mean nothing.
func chunkSize(line []byte) (int64, bool) {
	digits, _, _ := bytes.Cut(line, []byte{';'})
	digits = bytes.TrimRight(digits, " \t")
	if len(digits) == 0 || len(digits) > 32 {
		return 0, false
	}
	var n int64
	for _, d := range digits {
		v, ok := unhex(d)
		if !ok || n >= 1<<58 {
			return 0, false
		}
		n = n<<4 | int64(v)
	}
	return n, true
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// trailer reads the fields after the last chunk and drops them.
func (b *body) trailer() error {
	for size := 0; size <= b.conn.srv.MaxHead; {
		line, err := b.line()
		switch {
		case err != nil:
			return err
		case len(line) == 0:
			b.end()
			return nil
		}
		if _, bad := parseField(line); bad != "" {
			return errChunk
		}
		size += len(line)
	}
	return errTooLong
}

// line reads a line of the framing, without its end.
func (b *body) line() ([]byte, error) {
	c := b.conn
	for from := c.r; ; {
		if i := bytes.IndexByte(c.buf[from:c.w], '\n'); i >= 0 {
			line := c.buf[c.r : from+i]
			c.r = from + i + 1
			if len(line) == 0 || line[len(line)-1] != '\r' {
				return nil, errChunk
			}
			if line = line[:len(line)-1]; bytes.IndexByte(line, '\r') >= 0 {
				return nil, errChunk
			}
			return line, nil
		}
		if c.w-c.r > maxChunkLine {
			return nil, errTooLong
		}
		seen := c.w - c.r
		c.mayRead()
		if err := c.fill(usualHead); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		from = c.r + seen
	}
}

// Close implements [io.Closer]. What is left is read when the request is answered.
func (*body) Close() error { return nil }

// rest reports whether there is content that will not be read.
func (b *body) rest() bool { return !b.over }

// discard reads the rest of the content, within bounds, so that the connection can go on.
func (b *body) discard() bool {
	if b.over {
		return true
	}
	if b.expects || b.err != nil || b.left > oversent && !b.chunked {
		return false
	}
	b.conn.mayReadFor(lingering)
	var scrap [4 << 10]byte
	for read := 0; read < oversent; {
		n, err := b.Read(scrap[:])
		if err != nil {
			return b.over
		}
		read += n
	}
	return b.over
}

// reader returns what a handler reads the content from.
func (b *body) reader() io.ReadCloser {
	if b.over {
		return http.NoBody
	}
	return b
}
