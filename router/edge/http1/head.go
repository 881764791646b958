package http1

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// head is the head of a request as it was read: where its parts are in the text.
type head struct {
	text   string
	method span
	target span
	minor  int // of HTTP/1.x
	fields []fieldSpans
}

// span is a piece of a head.
type span struct{ from, to int }

// fieldSpans are the name of a field, in canonical form, and its value.
type fieldSpans struct{ name, value span }

func (h *head) of(s span) string { return h.text[s.from:s.to] }

// badHead says why a request is refused.
type badHead struct {
	status int
	why    string
}

func (e *badHead) Error() string { return "http1: " + e.why }

func bad(why string) error { return &badHead{http.StatusBadRequest, why} }

// readHead reads a head, line by line, into the connection's own.
func (c *conn) readHead() error {
	h := &c.head
	h.fields = h.fields[:0]
	at, armed := 0, false // of the next line, from c.r on
	for lines := 0; ; {
		i := bytes.IndexByte(c.buf[c.r+at:c.w], '\n')
		if i < 0 {
			if !armed {
				c.readWithin(c.srv.HeadTimeout)
				armed = true
			}
			if err := c.fillHead(); err != nil {
				return err
			}
			continue
		}
		line := c.buf[c.r+at : c.r+at+i]
		if len(line) == 0 || line[len(line)-1] != '\r' {
			return bad("line that ends without carriage return")
		}
		line = line[:len(line)-1]
		if lines++; lines == 1 {
			if err := h.requestLine(line); err != nil {
				return err
			}
		} else if len(line) > 0 {
			if err := h.field(line, at); err != nil {
				return err
			}
		}
		at += i + 1
		if len(line) == 0 && lines > 1 {
			h.text = string(c.buf[c.r : c.r+at])
			c.r += at
			return nil
		}
	}
}

// fillHead reads more of a head.
func (c *conn) fillHead() error {
	if c.w-c.r >= c.srv.MaxHead {
		return &badHead{http.StatusRequestHeaderFieldsTooLarge, "head of more than " + strconv.Itoa(c.srv.MaxHead) + " bytes"}
	}
	err := c.fill(c.srv.MaxHead)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// requestLine reads the first line (RFC 9112 §3).
func (h *head) requestLine(line []byte) error {
	first, last := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ' ')
	if first <= 0 || last <= first+1 {
		return bad("first line that is no request's")
	}
	h.method, h.target = span{0, first}, span{first + 1, last}
	switch version := line[last+1:]; {
	case string(version) == "HTTP/1.1":
		h.minor = 1
	case string(version) == "HTTP/1.0":
		h.minor = 0
	case bytes.HasPrefix(version, []byte("HTTP/")):
		return &badHead{http.StatusHTTPVersionNotSupported, "version other than HTTP/1.1 and HTTP/1.0"}
	default:
		return bad("first line that is no request's")
	}
	if !isToken(line[:first]) {
		return bad("method that is no token")
	}
	for _, b := range line[first+1 : last] {
		if b <= ' ' || b >= 0x7f {
			return bad("target with a byte that is not visible ASCII")
		}
	}
	return nil
}

// field reads a field line that begins at a place in the head, and writes its name in canonical form, in place.
func (h *head) field(line []byte, at int) error {
	f, why := parseField(line)
	if why != "" {
		return bad(why)
	}
	canonical(line[f.name.from:f.name.to])
	h.fields = append(h.fields, fieldSpans{
		name:  span{at + f.name.from, at + f.name.to},
		value: span{at + f.value.from, at + f.value.to},
	})
	return nil
}

// parseField cuts a field line (RFC 9112 §5), or says what is wrong with it.
func parseField(line []byte) (f fieldSpans, why string) {
	if line[0] == ' ' || line[0] == '\t' {
		return f, "folded header line"
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 || !isToken(line[:colon]) {
		return f, "header line without a proper name"
	}
	from, to := colon+1, len(line)
	for from < to && (line[from] == ' ' || line[from] == '\t') {
		from++
	}
	for to > from && (line[to-1] == ' ' || line[to-1] == '\t') {
		to--
	}
	for _, b := range line[from:to] {
		if b < ' ' && b != '\t' || b == 0x7f {
			return f, "control character in a header"
		}
	}
	return fieldSpans{name: span{0, colon}, value: span{from, to}}, ""
}

// canonical writes a name as net/http does: the first letter and those behind hyphens in upper case, the others in lower.
func canonical(name []byte) {
	upper := true
	for i, b := range name {
		switch {
		case upper && 'a' <= b && b <= 'z':
			name[i] = b - 'a' + 'A'
		case !upper && 'A' <= b && b <= 'Z':
			name[i] = b - 'A' + 'a'
		}
		upper = b == '-'
	}
}

// message is what the fields of a head say of the message itself.
type message struct {
	host   string
	hosts  int
	length int64 // -1 if it is not said
	coded  bool
	close  bool
	expect string
}

// collect puts the fields into a header and reads those that say how the message is cut.
func (h *head) collect() (http.Header, message, error) {
	m := message{length: -1}
	out := make(http.Header, max(len(h.fields)-1, 0)) // Host is no part of it; eight fields need a smaller map than nine
	values := make([]string, len(h.fields))
	for i, f := range h.fields {
		name, value := h.of(f.name), h.of(f.value)
		if err := m.note(name, value); err != nil {
			return nil, m, err
		}
		if name == "Host" || name == "Transfer-Encoding" {
			continue // the request says them elsewhere, as it does in net/http
		}
		if old, again := out[name]; again {
			out[name] = append(old, value)
			continue
		}
		values[i] = value
		out[name] = values[i : i+1 : i+1]
	}
	return out, m, m.check(h.minor)
}

// note reads a field that says something of the message.
func (m *message) note(name, value string) error {
	switch name {
	case "Host":
		m.host = value
		m.hosts++
	case "Content-Length":
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || value[0] == '+' || m.length >= 0 {
			return bad("Content-Length that is repeated or no number")
		}
		m.length = int64(n)
	case "Transfer-Encoding":
		if m.coded || !strings.EqualFold(value, "chunked") {
			return &badHead{http.StatusNotImplemented, "Transfer-Encoding other than chunked"}
		}
		m.coded = true
	case "Connection":
		m.close = m.close || hasToken(value, "close")
	case "Expect":
		m.expect = value
	}
	return nil
}

// check refuses what others could cut differently (RFC 9112 §6.3), and hosts that are none (§3.2).
func (m *message) check(minor int) error {
	switch {
	case m.coded && m.length >= 0:
		return bad("Content-Length together with Transfer-Encoding")
	case m.coded && minor == 0:
		return bad("Transfer-Encoding in an HTTP/1.0 request")
	case m.hosts > 1 || m.hosts == 0 && minor > 0:
		return bad("Host that is missing or repeated")
	case !isHost(m.host):
		return bad("Host that is none")
	case m.expect != "" && !strings.EqualFold(m.expect, "100-continue"):
		return &badHead{http.StatusExpectationFailed, "expectation other than 100-continue"}
	}
	m.close = m.close || minor == 0
	return nil
}

// hasToken reports whether a list holds a token.
func hasToken(list, token string) bool {
	for part := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.Trim(part, " \t"), token) {
			return true
		}
	}
	return false
}

// locate reads the target of a request. Only forward proxies are sent one that names a host, which would overrule the
// field by which somebody in front may have decided (RFC 9112 §3.2.2).
func (h *head) locate(into *url.URL) error {
	target := h.of(h.target)
	if target[0] == '/' && isPlainPath(target) || target == "*" && h.of(h.method) == http.MethodOptions {
		into.Path = target
		return nil
	}
	u, err := url.ParseRequestURI(target)
	switch {
	case target[0] != '/':
		return bad("target that names a host")
	case err != nil:
		return bad("target that is none")
	}
	*into = *u
	return nil
}
