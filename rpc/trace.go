package rpc

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// What names a trace and a span (W3C Trace Context, §3.2.2). Zero is none.
type (
	// TraceID names a trace.
	TraceID [16]byte
	// SpanID names a span of it.
	SpanID [8]byte
)

// Trace is the place of a call in a trace: the span that stands for it, and where that
// hangs.
type Trace struct {
	ID      TraceID
	Span    SpanID // the call's own
	Parent  SpanID // whoever sent it; zero for nobody
	Sampled bool   // as those are told who are asked
	Inner   bool   // the parent is a call of this process, in the middle of which the call is made
	State   string // the tracestate that is passed on; empty for none
}

// String returns the traceparent of the call's own span; nothing where nobody traces.
func (t Trace) String() string {
	if t.ID == (TraceID{}) {
		return ""
	}
	return string(appendTraceParent(nil, t.ID, t.Span, t.Sampled))
}

// TraceLink is another call that this one belongs together with.
type TraceLink struct {
	ID      TraceID
	Span    SpanID
	Sampled bool
	Kind    string // how they belong together
}

// NewTraceID returns an id at random. It is no secret.
func NewTraceID() (id TraceID) {
	for id == (TraceID{}) {
		binary.BigEndian.PutUint64(id[:8], rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}

// NewSpanID returns an id at random. It is no secret.
func NewSpanID() (id SpanID) {
	for id == (SpanID{}) {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

// String returns the id in lower-case hexadecimal digits.
func (t TraceID) String() string { return hex.EncodeToString(t[:]) }

// String returns the id in lower-case hexadecimal digits.
func (s SpanID) String() string { return hex.EncodeToString(s[:]) }

const (
	// traceParentSize is the length of a traceparent of version 00.
	traceParentSize = 2 + 1 + 32 + 1 + 16 + 1 + 2
	flagSampled     = 1
)

// appendTraceParent appends a traceparent (W3C Trace Context, §3.2).
func appendTraceParent(dst []byte, id TraceID, span SpanID, sampled bool) []byte {
	dst = hex.AppendEncode(append(dst, "00-"...), id[:])
	dst = hex.AppendEncode(append(dst, '-'), span[:])
	if sampled {
		return append(dst, "-01"...)
	}
	return append(dst, "-00"...)
}

// ParseTraceParent reads a traceparent (W3C Trace Context, §3.2): the trace, the span that
// sends it, and whether that is sampled. What later versions put behind is left out, as §4.3 has it.
func ParseTraceParent[T ~string | ~[]byte](text T) (id TraceID, parent SpanID, sampled, ok bool) {
	if len(text) < traceParentSize || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return id, parent, false, false
	}
	var version, flags [1]byte
	if !lowerHex(version[:], text[:2]) || !lowerHex(id[:], text[3:35]) || !lowerHex(parent[:], text[36:52]) || !lowerHex(flags[:], text[53:55]) {
		return TraceID{}, SpanID{}, false, false
	}
	longer := len(text) > traceParentSize
	if version[0] == 0xff || version[0] == 0 && longer || longer && text[traceParentSize] != '-' || id == (TraceID{}) || parent == (SpanID{}) {
		return TraceID{}, SpanID{}, false, false
	}
	return id, parent, flags[0]&flagSampled != 0, true
}

// lowerHex decodes lower-case hexadecimal digits, which are the only ones allowed.
func lowerHex[T ~string | ~[]byte](dst []byte, text T) bool {
	for i := range dst {
		high, low := lowerDigit(text[2*i]), lowerDigit(text[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

func lowerDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}
