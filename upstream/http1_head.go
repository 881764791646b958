package upstream

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/headgate/headgate/rpc"
)

const (
	// maxInterim is how many 1xx answers may precede the real one.
	maxInterim = 8
	// noLength stands for a body whose length the header does not give.
	noLength = -1
)

// head is a parsed response header and what it says about the bytes that follow.
type head struct {
	status    int
	header    Header
	length    int64 // Content-Length, or noLength
	chunked   bool
	close     bool          // the connection cannot serve another request
	keepAlive time.Duration // how long the server keeps it when idle; zero if it does not say
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// headScan finds the end of a header in bytes that arrive piecemeal, looking at none of them twice.
type headScan struct{ line, at int }

// end returns the length of the header with its empty line, or 0 if more bytes are needed. Lines must end in CRLF: a bare LF,
// which RFC 9112 §2.2 merely allows to accept, is how two parsers come to see different headers.
func (s *headScan) end(p []byte) (int, error) {
	if s.line == 0 {
		const version = "HTTP/1."
		if n := min(len(p), len(version)); string(p[:n]) != version[:n] {
			return 0, malformed("begins with %s", rpc.Excerpt(string(p[:min(len(p), 16)])+"…"))
		}
	}
	for {
		n := bytes.IndexByte(p[s.at:], '\n')
		if n < 0 {
			s.at = len(p)
			return 0, nil
		}
		n += s.at
		if n == 0 || p[n-1] != '\r' {
			return 0, malformed("header line ends in a bare LF")
		}
		if n-1 == s.line {
			return n + 1, nil
		}
		s.line, s.at = n+1, n+1
	}
}

// parseHead parses a complete header as headScan found it.
func parseHead(p []byte) (head, error) {
	text := string(p[:len(p)-2]) // one allocation that all header values share; the empty line is left out
	first, lines, _ := strings.Cut(text, "\r\n")
	h := head{length: noLength, header: Header{lines: lines}}
	if err := h.statusLine(first); err != nil {
		return head{}, err
	}
	for rest := lines; rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\r\n")
		if err := h.line(line); err != nil {
			return head{}, err
		}
	}
	if h.chunked && (h.length != noLength || strings.HasPrefix(first, "HTTP/1.0")) {
		// RFC 9112 §6.1: either means that somebody on the way understood the framing differently.
		return head{}, malformed("Transfer-Encoding with Content-Length or HTTP/1.0")
	}
	return h, nil
}

// statusLine parses "HTTP/1.1 200 OK" (RFC 9112 §4). The space before an empty reason may be missing, as many servers leave it out.
func (h *head) statusLine(s string) error {
	const shape = "HTTP/1.x 200"
	if len(s) < len(shape) || s[7] != '0' && s[7] != '1' || s[8] != ' ' || !isFieldValue(s) {
		return malformed("status line %s", rpc.Excerpt(s))
	}
	for _, c := range []byte(s[9:12]) {
		if c < '0' || c > '9' {
			return malformed("status line %s", rpc.Excerpt(s))
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 || h.status > 599 || len(s) > len(shape) && s[len(shape)] != ' ' {
		return malformed("status line %s", rpc.Excerpt(s))
	}
	h.close = s[7] == '0'
	return nil
}

// line checks one header line and takes in what concerns framing. A line that continues the one before it (obs-fold, RFC
// 9112 §5.2) and a space before the colon (§5.1) are no tokens and refused by that.
func (h *head) line(s string) error {
	name, value, found := strings.Cut(s, ":")
	if !found || !isToken(name) || !isFieldValue(value) {
		return malformed("header line %s", rpc.Excerpt(s))
	}
	switch value = trim(value); {
	case named(name, "Connection"):
		h.connection(value)
	case named(name, "Keep-Alive"):
		h.keepAliveFor(value)
	case named(name, "Content-Length"):
		return h.contentLength(value)
	case named(name, "Transfer-Encoding"):
		return h.transferEncoding(value)
	case named(name, "Content-Encoding"):
		if !strings.EqualFold(value, "identity") {
			return malformed("Content-Encoding %s, which was not asked for", rpc.Excerpt(value))
		}
	}
	return nil
}

// contentLength accepts one field with one number; repeated ones, equal or not, are refused (RFC 9112 §6.3).
func (h *head) contentLength(value string) error {
	const maxDigits = 18 // below 2^63
	if h.length != noLength || value == "" || len(value) > maxDigits || strings.Trim(value, "0123456789") != "" {
		return malformed("Content-Length %s", rpc.Excerpt(value))
	}
	h.length = 0
	for _, c := range []byte(value) {
		h.length = h.length*10 + int64(c-'0')
	}
	return nil
}

// transferEncoding accepts chunked and nothing else, once (RFC 9112 §7).
func (h *head) transferEncoding(value string) error {
	if h.chunked || !strings.EqualFold(value, "chunked") {
		return malformed("Transfer-Encoding %s", rpc.Excerpt(value))
	}
	h.chunked = true
	return nil
}

func (h *head) connection(value string) {
	for option := range strings.SplitSeq(value, ",") {
		if strings.EqualFold(trim(option), "close") {
			h.close = true
		}
	}
}

// keepAliveFor reads "timeout=5", which Node's server sends and which is short there: to use the connection when that time is
// nearly over would be to race with its end.
func (h *head) keepAliveFor(value string) {
	for option := range strings.SplitSeq(value, ",") {
		name, seconds, _ := strings.Cut(trim(option), "=")
		if !strings.EqualFold(name, "timeout") || len(seconds) > 6 {
			continue
		}
		n := 0
		for _, c := range []byte(seconds) {
			if c < '0' || c > '9' {
				return
			}
			n = n*10 + int(c-'0')
		}
		h.keepAlive = time.Duration(n) * time.Second
	}
}

// framing says how the body of this answer to a request with that method is delimited (RFC 9112 §6.3).
func (h *head) framing(method string) framing {
	switch {
	case method == "HEAD" || h.status == 304:
		return framing{done: true}
	case h.status == 204:
		// It has no body. Should its header announce one, nobody knows whether bytes follow.
		h.close = h.close || h.chunked || h.length > 0
		return framing{done: true}
	case h.chunked:
		return framing{state: chunkSize}
	case h.length == noLength:
		h.close = true
		return framing{state: untilClose, left: math.MaxInt64}
	}
	return framing{state: sized, left: h.length, done: h.length == 0}
}

// named compares field names, which know no case. Most differ in length.
func named(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

func trim(s string) string { return strings.Trim(s, " \t") }
