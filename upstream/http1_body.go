package upstream

const (
	maxChunkDigits = 15 // hexadecimal: far above any real chunk, far below overflow
	maxExtension   = 256
	maxTrailer     = 8 << 10
)

// framing is where a response body stands: it tells payload from what surrounds it. It holds no bytes and does no input or
// output, so that it can be fed whatever has arrived.
type framing struct {
	state  framingState
	left   int64 // payload bytes that come next, without anything in between
	size   int64 // of the chunk whose first line is being read
	count  int   // digits, extension bytes or trailer bytes so far
	inName bool  // within the name of a trailer field
	done   bool
}

type framingState uint8

const (
	sized framingState = iota
	untilClose
	chunkSize      // first line of a chunk: the digits
	chunkExtension // first line of a chunk: what follows a semicolon
	chunkSizeLF
	chunkData
	chunkDataLF
	trailerStart // first byte of a trailer line
	trailerLine
	trailerLF
	finalLF
)

// took notes that n bytes of payload were taken.
func (f *framing) took(n int) {
	if f.state != untilClose {
		f.left -= int64(n)
	}
	f.done = f.state == sized && f.left == 0
}

// skip consumes what is no payload from the beginning of p, and returns how many bytes that was. It stops where payload begins, when
// the body is done, or at the end of p (RFC 9112 §7.1). Chunk extensions and trailers are checked, bounded and dropped.
func (f *framing) skip(p []byte) (int, error) {
	for i, c := range p {
		if f.left > 0 || f.done {
			return i, nil
		}
		if err := f.next(c); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// next takes one byte that is no payload.
func (f *framing) next(c byte) error {
	switch f.state {
	case chunkSize:
		return f.sizeByte(c)
	case chunkExtension:
		f.count++
		if c == '\r' {
			f.state = chunkSizeLF
		} else if !isFieldByte(c) || f.count > maxExtension {
			return malformed("chunk extension")
		}
	case chunkSizeLF:
		return f.sizeEnd(c)
	case chunkData:
		return f.expect(c, '\r', chunkDataLF)
	case chunkDataLF:
		f.size, f.count = 0, 0
		return f.expect(c, '\n', chunkSize)
	case trailerStart, trailerLine:
		return f.trailerByte(c)
	case trailerLF:
		return f.expect(c, '\n', trailerStart)
	case finalLF:
		f.done = true
		return f.expect(c, '\n', finalLF)
	case sized, untilClose: // have nothing but payload
	}
	return nil
}

func (f *framing) expect(c, want byte, then framingState) error {
	if c != want {
		return malformed("%q where the chunked coding has %q", c, want)
	}
	f.state = then
	return nil
}

func (f *framing) sizeByte(c byte) error {
	var digit int64
	switch {
	case c >= '0' && c <= '9':
		digit = int64(c - '0')
	case c >= 'a' && c <= 'f':
		digit = int64(c-'a') + 10
	case c >= 'A' && c <= 'F':
		digit = int64(c-'A') + 10
	case c == '\r' && f.count > 0:
		f.state = chunkSizeLF
		return nil
	case c == ';' && f.count > 0:
		f.state, f.count = chunkExtension, 0
		return nil
	default:
		return malformed("%q in a chunk size", c)
	}
	if f.count++; f.count > maxChunkDigits {
		return malformed("chunk size is too long")
	}
	f.size = f.size<<4 | digit
	return nil
}

func (f *framing) sizeEnd(c byte) error {
	f.left = f.size
	f.count = 0
	if f.size == 0 {
		return f.expect(c, '\n', trailerStart)
	}
	return f.expect(c, '\n', chunkData)
}

func (f *framing) trailerByte(c byte) error {
	if f.count++; f.count > maxTrailer {
		return malformed("trailer is too long")
	}
	begins := f.state == trailerStart
	if begins && c == '\r' {
		f.state = finalLF
		return nil
	}
	switch {
	case begins || f.inName:
		f.state, f.inName = trailerLine, c != ':'
		if f.inName && !tchar[c] || begins && c == ':' {
			return malformed("trailer line")
		}
	case c == '\r':
		f.state = trailerLF
	case !isFieldByte(c):
		return malformed("trailer line")
	}
	return nil
}
