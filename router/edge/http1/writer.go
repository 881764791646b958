package http1

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/headgate/headgate/rpc/socket"
)

const (
	keptBytes = 4 << 10  // of content wait for more
	joined    = 16 << 10 // bytes are copied together rather than written in parts
)

// writer is the sending side of a connection. What it sends at once is one write.
type writer struct {
	socket *socket.Socket // of nc; nil if it is none
	owed   []byte         // what was offered and is still to be sent, before anything else
	short  io.Writer      // to nc what is no more than joined bytes
	head   []byte         // to be sent before what was kept
	kept   []byte         // content
	nc     net.Conn
	parts  [4][]byte
	vec    net.Buffers
}

// keeps reports whether n bytes more can wait.
func (w *writer) keeps(n int) bool { return len(w.kept)+n <= keptBytes }

func (w *writer) keep(p []byte) { w.kept = append(w.kept, p...) }

// goOn tells a client that its content is awaited.
func (w *writer) goOn() error {
	_, err := w.nc.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	return err
}

// send sends the head, what was kept and two pieces more. Chunked content is one chunk, and the last one after it if
// there is no more.
func (w *writer) send(p, q []byte, chunked, last bool) error {
	n := len(w.kept) + len(p) + len(q)
	var room [18]byte // for a length in hexadecimal and a line end
	size, tail := room[:0], ""
	switch {
	case chunked && n > 0:
		size = appendSize(size, n)
		tail = "\r\n"
		if last {
			tail = "\r\n0\r\n\r\n"
		}
	case chunked && last:
		tail = "0\r\n\r\n"
	}
	err := w.write(size, p, q, tail)
	w.head, w.kept = w.head[:0], w.kept[:0]
	if cap(w.head) > 2*joined { // it held an answer that was rather long
		w.head = nil
	}
	return err
}

// appendSize appends the first line of a chunk (RFC 9112 §7.1).
func appendSize(dst []byte, n int) []byte {
	return append(strconv.AppendInt(dst, int64(n), 16), "\r\n"...)
}

// offer sends as much of a chunk as the connection takes at once, and owes the rest. The chunk is b from a place on, and is put together
// there if the room before it suffices. Nothing must be kept.
func (w *writer) offer(b []byte, at int) error {
	var room [Margin]byte
	size := appendSize(room[:0], len(b)-at)
	if at < len(size) {
		b, at = append(make([]byte, len(size)), b[at:]...), len(size)
	}
	at -= len(size)
	copy(b[at:], size)
	chunk := append(b, "\r\n"...)[at:]
	n := 0
	if len(w.owed) == 0 {
		var err error
		if n, err = w.socket.WriteNow(chunk); err != nil {
			return err
		}
	}
	w.owed = append(w.owed, chunk[n:]...)
	return nil
}

// settle sends what is owed.
func (w *writer) settle() error {
	if len(w.owed) == 0 {
		return nil
	}
	_, err := w.short.Write(w.owed)
	w.owed = nil
	return err
}

func (w *writer) write(size, p, q []byte, tail string) error {
	if err := w.settle(); err != nil {
		return err
	}
	total := len(w.head) + len(size) + len(w.kept) + len(p) + len(q) + len(tail)
	switch {
	case total == 0:
		return nil
	case total <= len(socket.Buffer{}):
		room := socket.NewBuffer()
		defer room.Free()
		_, err := w.short.Write(w.join(append(room[:0], w.head...), size, p, q, tail))
		return err
	case total <= joined:
		w.head = w.join(w.head, size, p, q, tail)
		_, err := w.short.Write(w.head)
		return err
	}
	w.head = append(append(w.head, size...), w.kept...)
	w.parts = [4][]byte{w.head, p, q, []byte(tail)}
	w.vec = w.parts[:]
	_, err := w.vec.WriteTo(w.nc)
	w.parts = [4][]byte{}
	return err
}

// join appends all that follows the head.
func (w *writer) join(b, size, p, q []byte, tail string) []byte {
	b = append(append(b, size...), w.kept...)
	return append(append(append(b, p...), q...), tail...)
}

// begin writes the head of the answer, whose content so far is n bytes, the last of them if last is set.
func (x *exchange) begin(out *writer, n int64, last bool) {
	x.begun = true
	switch {
	case x.length >= 0 || x.bare():
	case last:
		x.length = n
	case x.request.ProtoMinor > 0:
		x.chunked = true
	default:
		x.ends = true // the end of the connection is the end of the content
	}
	if _, said := x.header["Connection"]; said && hasToken(x.header.Get("Connection"), "close") {
		x.ends = true
	}
	// A client that sends on while it is answered may never read the answer.
	x.ends = x.ends || x.conn.fleeting() || !x.body.discard()
	b := out.head
	b = append(b, "HTTP/1.1 "...)
	b = append(strconv.AppendInt(b, int64(x.status), 10), ' ')
	b = append(append(b, http.StatusText(x.status)...), "\r\n"...)
	b = appendFields(b, x.header)
	switch {
	case x.chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case x.length >= 0 && x.status != http.StatusNoContent && x.status >= http.StatusOK:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), x.length, 10), "\r\n"...)
	}
	if x.ends {
		b = append(b, "Connection: close\r\n"...)
	}
	out.head = append(x.conn.srv.appendDate(b), "\r\n"...)
}

// appendFields appends the fields of a header but for those that say how the message is cut.
func appendFields(b []byte, header http.Header) []byte {
	for name, values := range header {
		switch name {
		case "Connection", "Content-Length", "Transfer-Encoding", "Date":
			continue
		}
		if !isToken(name) {
			continue
		}
		for _, v := range values {
			b = append(append(b, name...), ": "...)
			b = append(append(b, plain(v)...), "\r\n"...)
		}
	}
	return b
}

// plain takes control characters out of a value, with which it could become several lines.
func plain(v string) string {
	for i := range len(v) {
		if v[i] < ' ' && v[i] != '\t' || v[i] == 0x7f {
			return strings.Map(func(r rune) rune {
				if r < ' ' && r != '\t' || r == 0x7f {
					return ' '
				}
				return r
			}, v)
		}
	}
	return v
}

// date is the Date field of a second.
type date struct {
	second int64
	line   []byte
}

// appendDate appends the Date field (RFC 9110 §6.6.1).
func (s *Server) appendDate(b []byte) []byte {
	now := time.Now()
	d := s.date.Load()
	if d == nil || d.second != now.Unix() {
		line := append(now.UTC().AppendFormat([]byte("Date: "), http.TimeFormat), "\r\n"...)
		d = &date{now.Unix(), line}
		s.date.Store(d)
	}
	return append(b, d.line...)
}
