package upstream

import (
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
)

// Header is the header of a response, kept as it came. Looking up a field is a scan without allocation, which for the
// handful that are asked for is cheaper than a map.
type Header struct{ lines string } // each with its CRLF, syntax checked

// All yields the fields in the order they came in, names as they were written.
func (h Header) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for rest := h.lines; rest != ""; {
			var line string
			line, rest, _ = strings.Cut(rest, "\r\n")
			name, value, _ := strings.Cut(line, ":")
			if !yield(name, trim(value)) {
				return
			}
		}
	}
}

// Get returns the value of the first field of that name in any case, or "".
func (h Header) Get(name string) string {
	for n, value := range h.All() {
		if named(n, name) {
			return value
		}
	}
	return ""
}

// Values returns the values of all fields of that name in any case.
func (h Header) Values(name string) []string {
	var values []string
	for n, value := range h.All() {
		if named(n, name) {
			values = append(values, value)
		}
	}
	return values
}

// Response is an answer whose header has arrived. It must be closed or finished, or its body read to the end.
//
// Read, ReadAll and Finish are for one goroutine at a time; Close may be called from any, and ends a Read in progress.
// Status, Length and Header stay valid after the end.
type Response struct {
	// Status is the final status code. Redirects are not followed.
	Status int
	// Length is the length of the body as announced, or -1.
	Length int64
	Header Header

	body io.ReadCloser
}

// NewResponse makes a response of something else than this package's Client, such as a test's double of it. The body ends in
// io.EOF; closing it early is a cancel.
func NewResponse(status int, header http.Header, length int64, body io.ReadCloser) *Response {
	var lines strings.Builder
	_ = header.Write(&lines) // it replaces line ends in values; a strings.Builder does not fail
	return &Response{Status: status, Length: length, Header: Header{lines: lines.String()}, body: body}
}

// Read returns what has arrived of the body, waiting only when there is nothing. It returns io.EOF at the end of a complete body,
// which also frees the connection, and an *ExchangeError when the body was cut, was malformed, or the context ended.
func (r *Response) Read(p []byte) (int, error) { return r.body.Read(p) }

// Taker takes what is pushed of a body.
type Taker interface {
	// Take takes a piece of the body, or leaves it to be read, and reports whether more is wanted now. It may write to a piece that it takes,
	// which is good until it returns. It must not block, nor use the response.
	Take(piece []byte) (took, more bool)
}

// Push waits for what comes of the body and gives each piece away that has arrived, as long as it is taken and more is wanted. What is not
// taken stays to be read, as does what follows, errors too. Without a connection that can do so Push returns false at once.
func (r *Response) Push(to Taker) (can bool) {
	x, ok := r.body.(*exchange)
	return ok && x.push(to)
}

// Lent returns the body as a reader like Read that can also lend what it has read, to a [frame.SSEReader] or a [frame.LineReader]. What is
// lent is good until the next reading, and no longer than until the response is closed or finished.
func (r *Response) Lent() io.Reader { return r.body }

// Close ends the response. Unless the body was read to its end, the connection is closed, and that is how the upstream
// learns of a cancel. It may be called again.
func (r *Response) Close() error { return r.body.Close() }

// Finish ends a response of which everything that matters was read, although its end was not: an event stream whose last message is
// in hand. It does not wait. The connection serves again if nothing but the end of the body arrives until then; otherwise
// it is closed.
func (r *Response) Finish() error {
	if x, ok := r.body.(*exchange); ok {
		x.Finish()
		return nil
	}
	return r.body.Close()
}

// ReadAll appends the whole body to dst and ends the response. A body above limit bytes is an error that matches
// ErrTooLarge; it is not read further than that. What was read before an error is returned with it.
func (r *Response) ReadAll(dst []byte, limit int) ([]byte, error) {
	defer func() { _ = r.Close() }() // after the end it does nothing
	if r.Length > int64(limit) {
		return dst, fmt.Errorf("body of %d bytes: %w (%d)", r.Length, ErrTooLarge, limit)
	}
	from := len(dst)
	if r.Length > 0 {
		// A peer that announces much and sends little must not make us allocate much.
		const trusted = 1 << 20
		dst = slices.Grow(dst, int(min(r.Length, trusted)))
	}
	for {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, max(512, len(dst)-from))
		}
		n, err := r.Read(dst[len(dst):min(cap(dst), from+limit+1)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst)-from > limit:
			return dst[:from+limit], fmt.Errorf("body: %w (%d)", ErrTooLarge, limit)
		case err == io.EOF: //nolint:errorlint // Read returns io.EOF itself; wrapped, it would be a failure
			return dst, nil
		case err != nil:
			return dst, err
		}
	}
}
