package frame

import (
	"bytes"
	"io"
	"time"
)

const (
	maxRetry  = 24 * time.Hour
	dataField = "data: " // how a line of data begins, nearly always
)

// SSEReader reads an event stream as WHATWG HTML section 9.2.6 says, incrementally: an event is returned as soon as the bytes that
// end it have arrived. It is not safe for concurrent use.
//
// It differs from a browser in three ways. A block without data is returned if it has an id or a retry. A stream that
// ends (io.EOF, not any other error) inside an event with data still yields that event, because servers forget the last blank
// line; a last line without line end counts only if it is data, since a cut id would resume at the wrong place. And
// invalid UTF-8 is passed on as it is, to be refused by the codec, instead of being replaced.
type SSEReader struct {
	in     intake
	limit  int
	lastID string
	begun  bool  // the place for a byte order mark has been passed
	skipLF bool  // the last line ended in CR: a LF that follows belongs to it
	err    error // sticky
	block  block
}

// block is the event being read. Its data is joined inside the reader's buffer, where it never takes more room than the
// lines it came in.
type block struct {
	ev      Event
	from    int // data is buf[from:to]
	to      int
	begun   bool // a line of it was read
	hasData bool
}

// NewSSEReader returns a reader over r. No event may have more than limit bytes, counting the data that was joined before
// and the whole line being read; a larger one ends the stream with ErrTooLong.
func NewSSEReader(r io.Reader, limit int) *SSEReader {
	s := &SSEReader{limit: limit}
	s.in.reset(r)
	return s
}

// Reset makes s read another stream from its beginning, keeping its buffer and limit.
func (s *SSEReader) Reset(r io.Reader) {
	in := s.in
	in.reset(r)
	*s = SSEReader{in: in, limit: s.limit}
}

// LastEventID returns the id to resume from: that of the last block which had one.
func (s *SSEReader) LastEventID() string { return s.lastID }

// Ended reports whether the stream has ended. An event that was returned last may then have been cut short.
func (s *SSEReader) Ended() bool { return s.err != nil }

// Next returns the next event. Its error is io.EOF at the end of the stream, ErrTooLong, or what the underlying reader
// returned; every later call returns the same.
func (s *SSEReader) Next() (Event, error) {
	if s.err != nil {
		return Event{}, s.err
	}
	for {
		line, at, ok := s.line()
		if !ok {
			if err := s.more(); err != nil {
				return s.finish(err)
			}
			continue
		}
		if s.block.size()+len(line) > s.limit {
			s.err = ErrTooLong
			return Event{}, s.err
		}
		if len(line) > 0 {
			s.field(line, at)
			continue
		}
		if ev, ok := s.dispatch(); ok {
			return ev, nil
		}
	}
}

// Between reports whether the reader has nothing of an event that was not returned, so that the next one begins with what is read next.
func (s *SSEReader) Between() bool {
	return s.err == nil && s.begun && !s.skipLF && s.in.pos == s.in.end && !s.block.begun
}

// EventIn returns the data of the event that p is, if p is one event of one line of data, as it is nearly always where each event was
// written at once. Of anything else it says nothing.
func EventIn(p []byte) (data []byte, ok bool) {
	end := len(p) - len("\n\n")
	if end < len(dataField) || string(p[:len(dataField)]) != dataField || lineEnd(p) != end || p[end] != '\n' || p[end+1] != '\n' {
		return nil, false
	}
	return p[len(dataField):end:end], true
}

// line takes the next complete line, without its end, and says where in the buffer it begins.
func (s *SSEReader) line() (line []byte, at int, ok bool) {
	in := &s.in
	if s.skipLF && in.pos < in.end {
		s.skipLF = false
		if in.buf[in.pos] == '\n' {
			in.pos++
		}
	}
	if !s.begun && !s.begin() {
		return nil, 0, false
	}
	rest := in.buf[in.pos+in.seen : in.end]
	n := lineEnd(rest)
	if n < 0 {
		in.seen = in.end - in.pos
		return nil, 0, false
	}
	s.skipLF = rest[n] == '\r'
	at = in.pos
	line = in.buf[at : at+in.seen+n]
	in.pos, in.seen = at+len(line)+1, 0
	return line, at, true
}

// begin drops one leading byte order mark and reports whether enough bytes are there to tell.
func (s *SSEReader) begin() bool {
	const bom = "\xEF\xBB\xBF"
	head := s.in.buf[s.in.pos:s.in.end]
	if len(head) < len(bom) && bytes.HasPrefix([]byte(bom), head) {
		return false
	}
	if bytes.HasPrefix(head, []byte(bom)) {
		s.in.pos += len(bom)
	}
	s.begun = true
	return true
}

// more reads on. When room is needed only the joined data of the block and the unfinished line are kept.
func (s *SSEReader) more() error {
	in, b := &s.in, &s.block
	if b.size()+in.seen > s.limit {
		return ErrTooLong
	}
	switch {
	case !b.hasData:
		in.slide(0)
	case in.full():
		if b.from > 0 {
			copy(in.buf, in.buf[b.from:b.to])
			b.from, b.to = 0, b.size()
		}
		in.slide(b.to + 1) // one byte stays free for the LF that joins the next line
	}
	return in.read()
}

// finish ends the stream, returning what the last block is worth.
func (s *SSEReader) finish(err error) (Event, error) {
	s.err = err
	if err != io.EOF { //nolint:errorlint // io.Reader returns io.EOF itself; a wrapped one is a failure
		return Event{}, err
	}
	in := &s.in
	last := in.buf[in.pos:in.end]
	if isData(last) {
		s.field(last, in.pos)
	}
	if !s.block.hasData {
		s.block.ev.ID, s.block.ev.HasID = "", false
	}
	if ev, ok := s.dispatch(); ok {
		return ev, nil
	}
	return Event{}, err
}

// dispatch closes the block and reports whether it is worth returning.
func (s *SSEReader) dispatch() (Event, bool) {
	b := s.block
	s.block = block{}
	if b.ev.HasID {
		s.lastID = b.ev.ID
	}
	if b.hasData {
		b.ev.Data = s.in.buf[b.from:b.to:b.to]
	}
	return b.ev, b.hasData || b.ev.HasID || b.ev.Retry > 0
}

// field takes one line into the block. The line begins at offset at of the buffer.
func (s *SSEReader) field(line []byte, at int) {
	name, value := line, line[len(line):]
	if before, after, ok := bytes.Cut(line, []byte{':'}); ok {
		name, value = before, after
		if len(value) > 0 && value[0] == ' ' {
			value = value[1:]
		}
	}
	b := &s.block
	b.begun = true
	switch string(name) {
	case "data":
		b.join(s.in.buf, at+len(line)-len(value), len(value))
	case "event":
		b.ev.Name = eventName(value)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			b.ev.ID, b.ev.HasID = string(value), true
		}
	case "retry":
		if wait, ok := parseRetry(value); ok {
			b.ev.Retry = wait
		}
	}
}

func (b *block) size() int { return b.to - b.from }

// join adds a line of data. The first one stays where it is; later ones move down over what separated them.
func (b *block) join(buf []byte, at, n int) {
	if !b.hasData {
		b.hasData, b.from, b.to = true, at, at+n
		return
	}
	buf[b.to] = '\n'
	copy(buf[b.to+1:], buf[at:at+n])
	b.to += 1 + n
}

// eventName avoids an allocation for the names MCP uses.
func eventName(value []byte) string {
	switch string(value) {
	case "message":
		return "message"
	case "endpoint":
		return "endpoint"
	}
	return string(value)
}

func parseRetry(value []byte) (time.Duration, bool) {
	wait := time.Duration(0)
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		wait = min(wait*10+time.Duration(c-'0')*time.Millisecond, maxRetry)
	}
	return max(wait, time.Millisecond), len(value) > 0
}

func isData(line []byte) bool {
	return bytes.HasPrefix(line, []byte("data")) && (len(line) == 4 || line[4] == ':')
}

// lineEnd returns the offset of the first CR or LF, or -1.
func lineEnd(p []byte) int {
	lf := bytes.IndexByte(p, '\n')
	if lf >= 0 {
		p = p[:lf]
	}
	if cr := bytes.IndexByte(p, '\r'); cr >= 0 {
		return cr
	}
	return lf
}
