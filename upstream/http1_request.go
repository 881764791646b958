package upstream

import (
	"fmt"
	"strconv"
	"sync"
)

// oneWrite is the size up to which head and body are put into one buffer, and so written by one system call.
const oneWrite = 64 << 10

// Field is one header line that we send. Bytes stand for the value where they are not nil, which saves a copy.
type Field struct {
	Name, Value string
	Bytes       []byte
}

// Request is one request. The client keeps nothing of it once Do has returned.
type Request struct {
	Method   string
	Endpoint *Endpoint
	// Header has the fields of this request alone, beside the endpoint's. A name that is in both is sent twice.
	Header []Field
	Body   []byte
	// Room is how many bytes at the start of Body are not part of it. A head that fits there goes out with the body in one
	// system call, whatever the body's size.
	Room int
	// Tail follows Body, so that what is large need not be copied behind what is small.
	Tail []byte
}

// length is the number of bytes that the head announces.
func (r *Request) length() int { return len(r.Body) - r.Room + len(r.Tail) }

// message is a request as bytes, in parts that are written together where the system can: the head, with the body behind it
// or in parts of its own.
type message [3][]byte

var requestBuffers = sync.Pool{New: func() any { return new([]byte) }}

// render makes the message in buf, which must not be used again before the exchange is over.
func (r *Request) render(buf *[]byte) (message, error) {
	head, err := r.appendHead((*buf)[:0])
	if err != nil {
		return message{}, err
	}
	*buf = head
	body := r.Body[r.Room:]
	switch {
	case len(body) > 0 && len(head) <= r.Room:
		whole := r.Body[r.Room-len(head):]
		copy(whole, head)
		return message{whole, nil, r.Tail}, nil
	case len(head)+len(body)+len(r.Tail) <= oneWrite:
		*buf = append(append(head, body...), r.Tail...)
		return message{*buf}, nil
	}
	return message{head, body, r.Tail}, nil
}

// appendHead renders the request up to its body.
func (r *Request) appendHead(dst []byte) ([]byte, error) {
	if !isToken(r.Method) || r.Method == "CONNECT" {
		return nil, fmt.Errorf("request method %q is not supported", r.Method)
	}
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, r.Endpoint.target...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	dst = append(dst, r.Endpoint.fixed...)
	dst, err := appendFields(dst, r.Header)
	if err != nil {
		return nil, err
	}
	if length := r.length(); length > 0 || r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH" {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(length), 10)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...), nil
}

// appendFields renders header lines. What could end a line early or change the framing is refused (RFC 9112 §11.1).
func appendFields(dst []byte, fields []Field) ([]byte, error) {
	for i := range fields {
		f := &fields[i]
		if !isToken(f.Name) {
			return nil, fmt.Errorf("header name %q is not a token", f.Name)
		}
		if ownField(f.Name) {
			return nil, fmt.Errorf("header %q is set by the client itself", f.Name)
		}
		if !isFieldValue(f.Value) || !isFieldValue(f.Bytes) {
			return nil, fmt.Errorf("header %q: value has control characters", f.Name)
		}
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		if f.Bytes != nil {
			dst = append(dst, f.Bytes...)
		} else {
			dst = append(dst, f.Value...)
		}
		dst = append(dst, "\r\n"...)
	}
	return dst, nil
}

// ownField reports whether a field decides about framing, connection or coding, and so is nobody's but the client's.
func ownField(name string) bool {
	for _, own := range [...]string{
		"Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection",
		"Te", "Trailer", "Upgrade", "Expect", "Accept-Encoding",
	} {
		if named(name, own) {
			return true
		}
	}
	return false
}
