package frame

import (
	"bytes"
	"io"
	"slices"
)

// LineReader reads newline-delimited messages (MCP, stdio transport). Lines end in LF or CRLF, the last one may lack its end, and
// empty lines are skipped. It is not safe for concurrent use.
type LineReader struct {
	in       intake
	limit    int
	skipping bool  // inside a line that was reported as too long
	err      error // sticky; never ErrTooLong
}

// NewLineReader returns a reader over r. No line may have more than limit bytes without its end.
func NewLineReader(r io.Reader, limit int) *LineReader {
	l := &LineReader{limit: limit}
	l.in.reset(r)
	return l
}

// Next returns the next line without its end, valid until the next call.
//
// A line above the limit is reported at once by ErrTooLong together with its first bytes, up to the limit, so that the caller can
// find out which message it was; the rest is discarded by the next call, and the reader goes on behind it. Any other error
// is final: io.EOF at the end, or what the underlying reader returned, and then an unfinished line is lost.
func (l *LineReader) Next() ([]byte, error) {
	for l.err == nil {
		line, whole := l.take()
		switch {
		case !whole && len(line) <= l.limit+1: // one more than the limit may still be the CR of a CRLF
			l.fill()
		case l.skipping:
			l.skipping = !whole
			l.drop(len(line), whole)
		default:
			if line, err := l.deliver(line, whole); len(line) > 0 || err != nil {
				return line, err
			}
		}
	}
	return l.last()
}

// take shows the bytes up to the next LF, or all there are, without consuming them.
func (l *LineReader) take() (line []byte, whole bool) {
	in := &l.in
	if n := bytes.IndexByte(in.buf[in.pos+in.seen:in.end], '\n'); n >= 0 {
		return in.buf[in.pos : in.pos+in.seen+n], true
	}
	in.seen = in.end - in.pos
	return in.buf[in.pos:in.end], false
}

// drop consumes n bytes and the LF behind them, if it is there.
func (l *LineReader) drop(n int, whole bool) {
	if whole {
		n++
	}
	l.in.pos += n
	l.in.seen = 0
}

func (l *LineReader) deliver(line []byte, whole bool) ([]byte, error) {
	l.drop(len(line), whole)
	if whole {
		line = bytes.TrimSuffix(line, []byte{'\r'})
	}
	if len(line) > l.limit {
		l.skipping = !whole
		return line[:l.limit:l.limit], ErrTooLong
	}
	return slices.Clip(line), nil
}

// fill reads on; what it cannot read becomes the sticky error.
func (l *LineReader) fill() {
	in := &l.in
	if l.skipping {
		l.drop(in.end-in.pos, false)
	}
	in.slide(0)
	l.err = in.read()
}

// last returns the final line, which had no end, and then the sticky error.
func (l *LineReader) last() ([]byte, error) {
	in := &l.in
	line := in.buf[in.pos:in.end]
	in.pos, in.seen = in.end, 0
	if l.err != io.EOF || l.skipping || len(line) == 0 { //nolint:errorlint // io.Reader returns io.EOF itself
		return nil, l.err
	}
	line, err := l.deliver(line, true)
	in.pos = in.end
	if len(line) == 0 && err == nil {
		err = l.err
	}
	return line, err
}

// AppendLine appends the message as one line. Raw CR and LF in it, which valid JSON has as insignificant whitespace only
// (RFC 8259 §2 and §7), become spaces.
func AppendLine(dst, msg []byte) []byte {
	dst = appendOneLine(dst, msg)
	return append(dst, '\n')
}

// EndLine makes a line of a message in its place, as AppendLine does.
func EndLine(msg []byte) []byte {
	blankLineEnds(msg)
	return append(msg, '\n')
}

func appendOneLine(dst, msg []byte) []byte {
	from := len(dst)
	dst = append(dst, msg...)
	blankLineEnds(dst[from:])
	return dst
}

// blankLineEnds overwrites each CR and LF by a space.
func blankLineEnds(p []byte) {
	for _, end := range [...]byte{'\n', '\r'} {
		for rest := p; ; {
			n := bytes.IndexByte(rest, end)
			if n < 0 {
				break
			}
			rest[n] = ' '
			rest = rest[n+1:]
		}
	}
}
