package generator

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// head is what an answer says about itself ahead of its body.
type head struct {
	status  int
	length  int // -1 when not said
	chunked bool
	events  bool // text/event-stream
	closing bool // the server closes the connection afterwards
	session string
}

var errHead = errors.New("malformed head of an answer")

// parseHead reads the status line and the header fields up to and with the empty line (RFC 9112 §4, §5).
func parseHead(text []byte) (head, error) {
	h := head{length: -1}
	line, rest, _ := bytes.Cut(text, []byte("\r\n"))
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return h, fmt.Errorf("%w: %.40q", errHead, line)
	}
	for _, digit := range line[9:12] {
		if digit < '0' || digit > '9' {
			return h, fmt.Errorf("%w: %.40q", errHead, line)
		}
		h.status = h.status*10 + int(digit-'0')
	}
	for {
		if line, rest, _ = bytes.Cut(rest, []byte("\r\n")); len(line) == 0 {
			return h, nil
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return h, fmt.Errorf("%w: %.40q", errHead, line)
		}
		if err := h.field(name, bytes.TrimSpace(value)); err != nil {
			return h, err
		}
	}
}

// field notes a header field that matters. The switch on the length spares comparing the others.
func (h *head) field(name, value []byte) error {
	switch len(name) {
	case len("Connection"):
		if bytes.EqualFold(name, []byte("Connection")) {
			h.closing = bytes.EqualFold(value, []byte("close"))
		}
	case len("Content-Type"):
		if bytes.EqualFold(name, []byte("Content-Type")) {
			h.events = bytes.HasPrefix(value, []byte("text/event-stream"))
		}
	case len("Content-Length"): // and Mcp-Session-Id
		if bytes.EqualFold(name, []byte("Content-Length")) {
			n, err := strconv.Atoi(string(value))
			if err != nil || n < 0 || h.length >= 0 {
				return fmt.Errorf("%w: Content-Length %.40q", errHead, value)
			}
			h.length = n
		} else if bytes.EqualFold(name, []byte("Mcp-Session-Id")) {
			h.session = string(value)
		}
	case len("Transfer-Encoding"):
		if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
			h.chunked = bytes.EqualFold(value, []byte("chunked"))
		}
	}
	return nil
}

// parseChunkSize reads the line ahead of a chunk; extensions are ignored.
func parseChunkSize(line []byte) (int, error) {
	digits, _, _ := bytes.Cut(line, []byte(";"))
	size, err := strconv.ParseInt(string(bytes.TrimSpace(digits)), 16, 64)
	if err != nil || size < 0 || size > math.MaxInt32 {
		return 0, fmt.Errorf("malformed chunk size %.40q", line)
	}
	return int(size), nil
}
