package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"
)

// Fields that every line has, in this order, before its own.
const (
	timeField      = "timestamp"
	levelField     = "level"
	componentField = "component"
	messageField   = "msg"
)

// AccessComponent is the component of lines about calls. Those of them that are no warnings are written in batches.
const AccessComponent = "access"

// Component returns the field that says which part of the gateway a line comes from. It belongs into [slog.Logger.With].
func Component(name string) slog.Attr { return slog.String(componentField, name) }

// lineHandler writes records as lines of JSON. It leaves out what a [redactor] would, at the same time, since it is what
// every call goes through where calls are logged.
type lineHandler struct {
	min       slog.Level
	out       *lineWriter
	known     *knownSecrets
	component string
	fields    []byte   // of the logger, each behind a comma
	open      int      // groups of theirs that are not closed
	pending   []string // further groups, which exist once there is something in them
}

// Enabled implements [slog.Handler].
func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.min }

// WithAttrs implements [slog.Handler].
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *h
	grown := h.openGroups(slices.Clone(h.fields))
	empty := len(grown)
	for _, a := range attrs {
		if a.Key == componentField && h.open+len(h.pending) == 0 {
			out.component = a.Value.String()
			continue
		}
		grown = h.appendAttr(grown, a)
	}
	if len(grown) > empty {
		out.fields, out.open, out.pending = grown, h.open+len(h.pending), nil
	}
	return &out
}

// WithGroup implements [slog.Handler].
func (h *lineHandler) WithGroup(name string) slog.Handler {
	out := *h
	if name != "" {
		out.pending = append(slices.Clone(h.pending), name)
	}
	return &out
}

// openGroups begins the groups that wait for fields.
func (h *lineHandler) openGroups(b []byte) []byte {
	for _, name := range h.pending {
		b = append(appendText(separate(b), name), ":{"...)
	}
	return b
}

// separate appends the comma between two fields.
func separate(b []byte) []byte {
	if n := len(b); n == 0 || b[n-1] != '{' {
		b = append(b, ',')
	}
	return b
}

// linePool holds the memory of lines.
var linePool = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}

// largestLine is how long a line may have become for its memory to be used again.
const largestLine = 16 << 10

// Handle implements [slog.Handler].
func (h *lineHandler) Handle(ctx context.Context, r slog.Record) error {
	memory := linePool.Get().(*[]byte)
	b := append((*memory)[:0], '{')
	if !r.Time.IsZero() {
		b = append(r.Time.UTC().AppendFormat(append(b, `"`+timeField+`":"`...), time.RFC3339Nano), `",`...)
	}
	b = append(append(b, `"`+levelField+`":"`...), r.Level.String()...)
	b = appendText(append(b, `","`+componentField+`":`...), h.component)
	b = appendText(append(b, `,"`+messageField+`":`...), h.known.text(r.Message, fieldLimit))
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		b = append(append(append(b, `,"trace_id":"`...), span.TraceID().String()...), '"')
		b = append(append(append(b, `,"span_id":"`...), span.SpanID().String()...), '"')
	}
	b = append(b, h.fields...)
	closing, before := 1+h.open, len(b)
	b = h.openGroups(b)
	empty := len(b)
	r.Attrs(func(a slog.Attr) bool {
		b = h.appendAttr(b, a)
		return true
	})
	if len(b) > empty {
		closing += len(h.pending)
	} else {
		b = b[:before]
	}
	for range closing {
		b = append(b, '}')
	}
	b = append(b, '\n')
	err := h.out.write(b, h.component == AccessComponent && r.Level < slog.LevelWarn)
	if cap(b) <= largestLine {
		*memory = b
		linePool.Put(memory)
	}
	return err
}

// appendAttr appends a field behind a comma. One that opens an object has none.
func (h *lineHandler) appendAttr(b []byte, a slog.Attr) []byte {
	value := a.Value.Resolve()
	if a.Equal(slog.Attr{}) || value.Kind() == slog.KindGroup && len(value.Group()) == 0 {
		return b
	}
	if value.Kind() == slog.KindGroup && a.Key == "" {
		return h.appendAttrs(b, value.Group())
	}
	b = append(appendText(separate(b), a.Key), ':')
	switch value.Kind() {
	case slog.KindGroup:
		return append(h.appendAttrs(append(b, '{'), value.Group()), '}')
	case slog.KindBool:
		return strconv.AppendBool(b, value.Bool())
	case slog.KindInt64:
		return strconv.AppendInt(b, value.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, value.Uint64(), 10)
	case slog.KindFloat64:
		return appendFloat(b, value.Float64())
	case slog.KindDuration:
		return appendSeconds(b, value.Duration())
	case slog.KindTime:
		return append(value.Time().UTC().AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
	}
	if secretNamed.has(a.Key) {
		return append(b, `"`+redacted+`"`...)
	}
	if value.Kind() == slog.KindString {
		return appendText(b, h.known.text(value.String(), limitOf(a.Key)))
	}
	return h.appendAny(b, value.Any(), limitOf(a.Key))
}

func (h *lineHandler) appendAttrs(b []byte, attrs []slog.Attr) []byte {
	for _, a := range attrs {
		b = h.appendAttr(b, a)
	}
	return b
}

func (h *lineHandler) appendAny(b []byte, v any, limit int) []byte {
	if err, ok := v.(error); ok {
		return appendText(b, h.known.text(err.Error(), limit))
	}
	text, whole := h.known.whole(v, limit)
	if !whole {
		return appendText(b, text)
	}
	return append(b, text...)
}

// appendFloat appends a number, or its name where JSON has none for it.
func appendFloat(b []byte, f float64) []byte {
	if f-f != 0 { // infinite, or no number
		return appendText(b, strconv.FormatFloat(f, 'g', -1, 64))
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

// appendSeconds appends a duration in seconds, to the microsecond.
func appendSeconds(b []byte, d time.Duration) []byte {
	if d < 0 {
		b, d = append(b, '-'), -d
	}
	us := uint64(d.Round(time.Microsecond) / time.Microsecond)
	b = append(strconv.AppendUint(b, us/1e6, 10), '.')
	part := us % 1e6
	for unit := uint64(1e5); unit > 0; unit /= 10 {
		b = append(b, '0'+byte(part/unit%10))
	}
	return b
}

// appendText appends a JSON string. Text that was cleaned has no control characters but line ends and tabs; what else would
// break a string is replaced.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	begin := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		b = append(b, s[begin:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, "\ufffd"...)
		}
		i++
		begin = i
	}
	return append(append(b, s[begin:]...), '"')
}
