package rpc

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
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

// scanner is one strict pass over JSON text (RFC 8259). It checks grammar, depth and
// UTF-8; outside strings only ASCII is grammar.
type scanner struct {
	data  []byte
	pos   int
	depth int // limit; zero means DefaultDepth
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

// str skips a string.
func (s *scanner) str() error {
	for i := s.pos + 1; ; {
		i = plain(s.data, i)
		if s.pos = i; i >= len(s.data) {
			return s.fail("unterminated string")
		}
		switch c := s.data[i]; {
		case c == '"':
			s.pos++
			return nil
		case c == '\\' && i+1 < len(s.data) && short[s.data[i+1]]:
			i += 2
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
			i = s.pos
		case c < 0x20:
			return s.fail("control character in a string")
		case c < utf8.RuneSelf:
			i++
		default:
			if i = wide(s.data, i); i < 0 {
				return s.fail("invalid UTF-8")
			}
		}
	}
}

// plain returns where, from i on, the next byte is that str must look at: a quote, a
// backslash, a control character or no ASCII; or where fewer than eight bytes are
// left. Most strings are short, so the first word is looked at before anything that
// has to be set up.
func plain(text []byte, i int) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for ; i+8 <= len(text); i = stride(text, i+8) {
		w := binary.LittleEndian.Uint64(text[i : i+8])
		// A byte's high bit gets set where the byte is below what is subtracted. With
		// bit 1 flipped, the quote follows the control characters. Borrows disturb only
		// bytes above the lowest hit, and only that one is used.
		hit := ((w ^ ones*2 - ones*('"'^2+1)) | (w ^ ones*'\\' - ones) | w) & highs
		if hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	return i
}

// wide skips characters of several bytes, and returns -1 where there is none.
func wide(text []byte, i int) int {
	for i < len(text) && text[i] >= utf8.RuneSelf {
		if c := text[i]; c >= 0xc2 && c < 0xe0 && i+1 < len(text) && text[i+1]&0xc0 == 0x80 {
			i += 2 // the usual ones: Latin, Greek, Cyrillic, Hebrew, Arabic
			continue
		}
		_, n := utf8.DecodeRune(text[i:])
		if n < 2 {
			return -1
		}
		i += n
	}
	return i
}

// short are the characters that make an escape of two (RFC 8259 §7).
var short = [256]bool{'"': true, '\\': true, '/': true, 'b': true, 'f': true, 'n': true, 'r': true, 't': true}

// escape skips an escape.
func (s *scanner) escape() error {
	s.pos++
	switch c := s.peek(); {
	case short[c]:
		s.pos++
		return nil
	case c != 'u':
		return s.fail("unknown escape in a string")
	}
	s.pos++
	for range 4 {
		if !isHex(s.peek()) {
			return s.fail("expected four hexadecimal digits after \\u")
		}
		s.pos++
	}
	return nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
