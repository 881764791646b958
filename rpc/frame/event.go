package frame

import (
	"strconv"
	"strings"
	"time"
)

// Event is one block of an event stream (WHATWG HTML, section 9.2, Server-sent events).
type Event struct {
	// ID is the block's own id field. It is not carried over from earlier blocks: see SSEReader.LastEventID.
	ID string
	// HasID says that there was an id field; an empty one tells the client to forget the last event id.
	HasID bool
	// Name is the event field; empty means "message".
	Name string
	// Data is the data field, lines joined by LF. Nil means that there was none: such a block is no event for a browser, but it
	// carries an id or a retry. Empty and not nil is what MCP calls priming. It is valid until the reader's next call.
	Data []byte
	// Retry is how long to wait before connecting again. Zero means that there was no such field; a field of 0 is
	// reported as one millisecond, a field above 24 hours as 24 hours.
	Retry time.Duration
}

// AppendEvent appends the event in the form in which it goes on the wire.
//
// Data becomes one "data: " line. Raw CR and LF in it become spaces: in valid JSON they occur as insignificant whitespace only,
// because strings must escape control characters (RFC 8259 §2 and §7), while in an event stream either of them ends the
// line. CR, LF and NUL in ID and Name, which a peer could use to forge fields, are left out.
func AppendEvent(dst []byte, ev Event) []byte {
	if ev.Name != "" {
		dst = append(dst, "event: "...)
		dst = appendField(dst, ev.Name)
	}
	if ev.HasID || ev.ID != "" {
		dst = append(dst, "id: "...)
		dst = appendField(dst, ev.ID)
	}
	if ev.Retry > 0 {
		dst = append(dst, "retry: "...)
		dst = strconv.AppendInt(dst, max(1, ev.Retry.Milliseconds()), 10)
		dst = append(dst, '\n')
	}
	if ev.Data != nil {
		dst = append(dst, "data: "...)
		dst = appendOneLine(dst, ev.Data)
		dst = append(dst, '\n')
	}
	return append(dst, '\n')
}

// AppendComment appends a comment, which clients ignore: the heartbeat of a quiet stream. Line ends in text become spaces.
func AppendComment(dst []byte, text string) []byte {
	dst = append(dst, ": "...)
	from := len(dst)
	dst = append(dst, text...)
	blankLineEnds(dst[from:])
	return append(dst, "\n\n"...)
}

func appendField(dst []byte, value string) []byte {
	if strings.ContainsAny(value, "\r\n\x00") {
		value = strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(value)
	}
	dst = append(dst, value...)
	return append(dst, '\n')
}
