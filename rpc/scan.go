package rpc

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Limits of nesting (RFC 8259 §9 lets a parser set one). Nothing in the protocols
// needs more than DefaultDepth, which holds where none is given; MaxDepth is the most
// that [Limits] may ask for, so that what was parsed once can be taken apart.
const (
	DefaultDepth = 64
	MaxDepth     = 256
)

// SyntaxError says where bytes stop being the JSON that is accepted here.
type SyntaxError struct {
	Offset    int    // byte offset in the message
	Reason    string // what is wrong there
	Ambiguous bool   // it is JSON, but readers differ in what they make of it
}

// Error implements error.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset) }

// scanner is one strict pass over JSON text (RFC 8259). It checks grammar and
// depth and leaves UTF-8 to one check over the whole text before it.
type scanner struct {
	data  []byte
	pos   int
	depth int  // limit; zero means DefaultDepth
	clean bool // no string can hold a control character: there is none, or the text was scanned before
	slash int  // where the next backslash is, if not before pos
}

func (s *scanner) fail(reason string) error { return &SyntaxError{Offset: s.pos, Reason: reason} }

func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.data) && s.data[s.pos] <= ' ' {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// value skips one value that is nested in level containers.
func (s *scanner) value(level int) error {
	switch c := s.peek(); c {
	case '"':
		return s.str()
	case '{':
		return s.object(level)
	case '[':
		return s.array(level)
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		if c == '-' || '0' <= c && c <= '9' {
			return s.number()
		}
		return s.fail("expected a value")
	}
}

// enter steps into a container that is nested in level others, and over it if it is
// empty.
func (s *scanner) enter(level int, closing byte) (done bool, err error) {
	limit := s.depth
	if limit == 0 {
		limit = DefaultDepth
	}
	if level >= limit {
		return false, s.fail("nested too deep")
	}
	s.pos++
	s.space()
	if s.peek() == closing {
		s.pos++
		return true, nil
	}
	return false, nil
}

func (s *scanner) object(level int) error {
	done, err := s.enter(level, '}')
	for !done && err == nil {
		if _, err = s.key(); err != nil {
			return err
		}
		if err = s.value(level + 1); err == nil {
			done, err = s.next('}')
		}
	}
	return err
}

func (s *scanner) array(level int) error {
	done, err := s.enter(level, ']')
	for !done && err == nil {
		if err = s.value(level + 1); err == nil {
			done, err = s.next(']')
		}
	}
	return err
}

// key skips a member's name and what separates it from the value.
func (s *scanner) key() (span, error) {
	if s.peek() != '"' {
		return span{}, s.fail("expected a member name")
	}
	start := s.pos
	if err := s.str(); err != nil {
		return span{}, err
	}
	key := span{start, s.pos}
	s.space()
	if s.peek() != ':' {
		return span{}, s.fail("expected ':' after a member name")
	}
	s.pos++
	s.space()
	return key, nil
}

// next steps over what follows an element: the closing byte, or a comma and the
// space before another element.
func (s *scanner) next(closing byte) (done bool, err error) {
	s.space()
	switch s.peek() {
	case closing:
		s.pos++
		return true, nil
	case ',':
		s.pos++
		s.space()
		return false, nil
	default:
		return false, s.fail("expected ',' or '" + string(closing) + "'")
	}
}

func (s *scanner) literal(word string) error {
	end := s.pos + len(word)
	if end > len(s.data) || string(s.data[s.pos:end]) != word {
		return s.fail("expected a value")
	}
	s.pos = end
	return nil
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	switch {
	case s.peek() == '0':
		s.pos++
	case !s.digits():
		return s.fail("expected a digit")
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return s.fail("expected a digit after '.'")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.fail("expected a digit in the exponent")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start
}

// str skips a string. In clean text only quotes and backslashes matter, and those
// are found many bytes at a time.
func (s *scanner) str() error {
	s.pos++
	if !s.clean {
		return s.wary()
	}
	for end := -1; ; {
		if end < s.pos { // none looked for yet, or it was escaped
			n := bytes.IndexByte(s.data[s.pos:], '"')
			if n < 0 {
				s.pos = len(s.data)
				return s.fail("unterminated string")
			}
			end = s.pos + n
		}
		if s.backslash() > end {
			s.pos = end + 1
			return nil
		}
		s.pos = s.slash
		if err := s.escape(); err != nil {
			return err
		}
	}
}

// backslash returns where the next backslash is, or the length of the text.
func (s *scanner) backslash() int {
	if s.slash < s.pos {
		s.slash = len(s.data)
		if n := bytes.IndexByte(s.data[s.pos:], '\\'); n >= 0 {
			s.slash = s.pos + n
		}
	}
	return s.slash
}

// wary skips the rest of a string that may hold control characters, eight bytes at
// a time where nothing in them ends the run.
func (s *scanner) wary() error {
	for {
		s.plain()
		if s.pos >= len(s.data) {
			return s.fail("unterminated string")
		}
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c < 0x20:
			return s.fail("control character in a string")
		default:
			s.pos++
		}
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// survey reports whether text is all ASCII and whether it is free of control
// characters, line ends included.
func survey(text []byte) (ascii, clean bool) {
	var high, low uint64
	for len(text) >= 32 {
		a, b := binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[8:])
		c, d := binary.LittleEndian.Uint64(text[16:]), binary.LittleEndian.Uint64(text[24:])
		high |= a | b | c | d
		// A byte's high bit is set where the byte is below the subtrahend. Borrows can
		// set more, but only where there is such a byte already.
		low |= (a-ones*0x20)&^a | (b-ones*0x20)&^b | (c-ones*0x20)&^c | (d-ones*0x20)&^d
		text = text[32:]
	}
	for _, c := range text {
		high |= uint64(c)
		if c < 0x20 {
			low = highs
		}
	}
	return high&highs == 0, low&highs == 0
}

// plain moves to the next byte that is a quote, a backslash or a control
// character, or to within eight bytes of the end.
func (s *scanner) plain() {
	for s.pos+8 <= len(s.data) {
		w := binary.LittleEndian.Uint64(s.data[s.pos:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		// A byte's high bit is set where the byte is below the subtrahend; borrows
		// can only disturb bytes above the lowest hit, and only that one is used.
		hit := ((w-ones*0x20)&^w | (quote-ones)&^quote | (slash-ones)&^slash) & highs
		if hit != 0 {
			s.pos += bits.TrailingZeros64(hit) / 8
			return
		}
		s.pos += 8
	}
}

func (s *scanner) escape() error {
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
		s.pos++
		for range 4 {
			if !isHex(s.peek()) {
				return s.fail("expected four hexadecimal digits after \\u")
			}
			s.pos++
		}
		return nil
	default:
		return s.fail("unknown escape in a string")
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
