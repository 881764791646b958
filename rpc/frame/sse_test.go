package frame_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc/frame"
)

const testLimit = 1 << 10

// readEvents drains a stream. Data is copied, since the reader's is valid until the next call only.
func readEvents(r *frame.SSEReader) (events []frame.Event, err error) {
	for {
		ev, err := r.Next()
		if err != nil {
			return events, err
		}
		if ev.Data != nil {
			ev.Data = append([]byte{}, ev.Data...)
		}
		events = append(events, ev)
	}
}

// lender lends what a reader returns, and spoils what it has lent before.
type lender struct {
	io.Reader
	before []byte
}

func (l *lender) Read(p []byte) (int, error) {
	l.spoil()
	return l.Reader.Read(p)
}

func (l *lender) Lend() ([]byte, error) {
	l.spoil()
	l.before = make([]byte, 700)
	for {
		n, err := l.Reader.Read(l.before)
		if n > 0 {
			l.before = l.before[:n:n]
			return l.before, nil
		}
		if err != nil {
			l.before = nil
			return nil, err
		}
	}
}

func (l *lender) spoil() {
	for i := range l.before {
		l.before[i] = '#'
	}
}

// exact compares data as a whole, which is faster than byte by byte, and tells no data from empty data.
var exact = cmp.Comparer(func(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) })

func data(s string) frame.Event { return frame.Event{Data: []byte(s)} }

var streams = []struct {
	name, in string
	want     []frame.Event
	lastID   string
	err      error
}{
	{name: "nothing"},
	{name: "one event", in: "data: {}\n\n", want: []frame.Event{data("{}")}},
	{name: "no space behind the colon", in: "data:x\n\n", want: []frame.Event{data("x")}},
	{name: "only one space is dropped", in: "data:  x \n\n", want: []frame.Event{data(" x ")}},
	{name: "CR", in: "data: a\r\rdata: b\r\r", want: []frame.Event{data("a"), data("b")}},
	{name: "CRLF", in: "data: a\r\n\r\ndata: b\r\n\r\n", want: []frame.Event{data("a"), data("b")}},
	{name: "mixed line ends", in: "data: a\r\n\rdata: b\n\r\ndata: c\r\n\n", want: []frame.Event{data("a"), data("b"), data("c")}},
	{name: "LF CR is two line ends", in: "data: a\n\rdata: b\n\n", want: []frame.Event{data("a"), data("b")}},
	{name: "joined lines", in: "data: a\ndata: b\r\ndata:\rdata\ndata: c\n\n", want: []frame.Event{data("a\nb\n\n\nc")}},
	{name: "joined around other fields", in: "data: a\n: c\nevent: e\ndata: b\n\n", want: []frame.Event{{Name: "e", Data: []byte("a\nb")}}},
	{name: "data without colon", in: "data\n\n", want: []frame.Event{data("")}},
	{name: "two data without colon", in: "data\ndata\n\n", want: []frame.Event{data("\n")}},
	{name: "field name is exact", in: "Data: x\ndatas: x\n data: x\n\n"},
	{name: "byte order mark", in: "\uFEFFdata: x\n\n", want: []frame.Event{data("x")}},
	{name: "only one mark", in: "\uFEFF\uFEFFdata: x\n\n"},
	{name: "mark inside", in: "data: a\n\n\uFEFFdata: b\n\n", want: []frame.Event{data("a")}},
	{name: "comments", in: ": hb\n\n:\n:data: no\n\ndata: x\n: c\n\n", want: []frame.Event{data("x")}},
	{name: "event name", in: "event: endpoint\ndata: /m\n\ndata: x\n\n", want: []frame.Event{{Name: "endpoint", Data: []byte("/m")}, data("x")}},
	{name: "name without data", in: "event: x\n\ndata: y\n\n", want: []frame.Event{data("y")}},
	{name: "id", in: "id: 7\ndata: x\n\ndata: y\n\n", want: []frame.Event{{ID: "7", HasID: true, Data: []byte("x")}, data("y")}, lastID: "7"},
	{name: "id alone", in: "id: 7\n\n", want: []frame.Event{{ID: "7", HasID: true}}, lastID: "7"},
	{name: "empty id forgets", in: "id: 7\n\nid\n\n", want: []frame.Event{{ID: "7", HasID: true}, {HasID: true}}},
	{name: "id with NUL is ignored", in: "id: 7\n\nid: a\x00b\n\n", want: []frame.Event{{ID: "7", HasID: true}}, lastID: "7"},
	{name: "priming", in: "id: s.1\ndata: \n\n", want: []frame.Event{{ID: "s.1", HasID: true, Data: []byte{}}}, lastID: "s.1"},
	{name: "retry", in: "retry: 1500\n\n", want: []frame.Event{{Retry: 1500 * time.Millisecond}}},
	{name: "retry of zero", in: "retry: 0\n\n", want: []frame.Event{{Retry: time.Millisecond}}},
	{name: "retry is digits only", in: "retry: 1s\n\nretry: -1\n\nretry:\n\nretry: +5\n\n"},
	{name: "retry is clamped", in: "retry: 99999999999999999999999999\n\n", want: []frame.Event{{Retry: 24 * time.Hour}}},
	{name: "no blank line at the end", in: "id: 1\ndata: x\n", want: []frame.Event{{ID: "1", HasID: true, Data: []byte("x")}}, lastID: "1"},
	{name: "no line end at the end", in: "data: a\ndata: x", want: []frame.Event{data("a\nx")}},
	{name: "a cut id is no id", in: "data: x\nid: 12", want: []frame.Event{data("x")}},
	{name: "unfinished id without data", in: "id: 12\n"},
	{name: "unfinished retry", in: "id: 1\nretry: 5\n", want: []frame.Event{{Retry: 5 * time.Millisecond}}},
	{name: "a cut field name", in: "data: a\n\ndat", want: []frame.Event{data("a")}},
	{name: "CR at the very end", in: "data: a\r\r", want: []frame.Event{data("a")}},
	{name: "line at the limit", in: "data: " + strings.Repeat("x", testLimit-6) + "\n\n", want: []frame.Event{data(strings.Repeat("x", testLimit-6))}},
	{name: "line above the limit", in: "data: a\n\ndata: " + strings.Repeat("x", testLimit-5) + "\n\n", want: []frame.Event{data("a")}, err: frame.ErrTooLong},
	{name: "endless line", in: strings.Repeat("x", 100*testLimit), err: frame.ErrTooLong},
	{name: "joined above the limit", in: strings.Repeat("data: 0123456789\n", testLimit/10), err: frame.ErrTooLong},
	{name: "comments do not add up", in: strings.Repeat(": "+strings.Repeat("c", 500)+"\n", 50) + "data: x\n" + strings.Repeat(": c\n", testLimit) + "\n", want: []frame.Event{data("x")}},
}

func TestCorner5_17_SSEReader(t *testing.T) {
	t.Parallel()
	for _, tt := range streams {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for how, r := range map[string]io.Reader{
				"whole":        strings.NewReader(tt.in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
				"halves":       iotest.HalfReader(strings.NewReader(tt.in)),
				"err with eof": iotest.DataErrReader(strings.NewReader(tt.in)),
				"lent":         &lender{Reader: strings.NewReader(tt.in)},
				"lent bytes":   &lender{Reader: iotest.OneByteReader(strings.NewReader(tt.in))},
			} {
				s := frame.NewSSEReader(r, testLimit)
				got, err := readEvents(s)
				want := tt.err
				if want == nil {
					want = io.EOF
				}
				if !errors.Is(err, want) {
					t.Errorf("%s: error %v, want %v", how, err, want)
				}
				if diff := cmp.Diff(tt.want, got, exact); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
				if s.LastEventID() != tt.lastID {
					t.Errorf("%s: last event id %q, want %q", how, s.LastEventID(), tt.lastID)
				}
				if _, again := s.Next(); !errors.Is(again, want) {
					t.Errorf("%s: error is not sticky: %v", how, again)
				}
			}
		})
	}
}

// Every stream of the table is cut in two at every byte: nothing may depend on how the bytes arrive.
func TestSSEReaderChunkBoundaries(t *testing.T) {
	t.Parallel()
	for _, tt := range streams {
		if len(tt.in) > 4*testLimit {
			continue
		}
		for cut := range len(tt.in) {
			r := io.MultiReader(strings.NewReader(tt.in[:cut]), strings.NewReader(tt.in[cut:]))
			if cut%2 > 0 {
				r = &lender{Reader: r}
			}
			got, _ := readEvents(frame.NewSSEReader(r, testLimit))
			if diff := cmp.Diff(tt.want, got, exact); diff != "" {
				t.Fatalf("%s cut at %d (-want +got):\n%s", tt.name, cut, diff)
			}
		}
	}
}

// An event must not wait for the byte behind its last line end, not even to see whether CR is CRLF.
func TestSSEReaderReturnsAtOnce(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"data: x\n\n", "data: x\r\r", "data: x\r\n\r\n", "data: x\r\n\r"} {
		r := frame.NewSSEReader(io.MultiReader(strings.NewReader(in), iotest.ErrReader(errors.New("read too far"))), testLimit)
		ev, err := r.Next()
		if err != nil || string(ev.Data) != "x" {
			t.Errorf("%q: %q, %v", in, ev.Data, err)
		}
	}
}

func TestSSEReaderKeepsReadErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	r := frame.NewSSEReader(io.MultiReader(strings.NewReader("data: a\n\ndata: b\n"), iotest.ErrReader(broken)), testLimit)
	got, err := readEvents(r)
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	// A stream that broke, unlike one that ended, does not yield its unfinished event.
	if diff := cmp.Diff([]frame.Event{data("a")}, got, exact); diff != "" {
		t.Error(diff)
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

func TestReadersGiveUpOnSilence(t *testing.T) {
	t.Parallel()
	if _, err := frame.NewSSEReader(silent{}, testLimit).Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("SSEReader: %v", err)
	}
	if _, err := frame.NewLineReader(silent{}, testLimit).Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("LineReader: %v", err)
	}
}

func TestSSEReaderReset(t *testing.T) {
	t.Parallel()
	r := frame.NewSSEReader(strings.NewReader("id: 1\ndata: a\n\ndata: cut\r"), testLimit)
	if _, err := readEvents(r); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	r.Reset(strings.NewReader("\uFEFF\ndata: b\n\n"))
	got, _ := readEvents(r)
	if diff := cmp.Diff([]frame.Event{data("b")}, got, exact); diff != "" {
		t.Error(diff)
	}
	if r.LastEventID() != "" {
		t.Errorf("last event id %q of the stream before", r.LastEventID())
	}
}

// Large and small events in turn: growing, joining and shrinking of the buffer must not show.
func TestSSEReaderManySizes(t *testing.T) {
	t.Parallel()
	var stream []byte
	var want []frame.Event
	for i := range 60 {
		body := strings.Repeat(fmt.Sprintf("%d,", i), (i*i*i)%20_000)
		if i%3 == 0 {
			body = strings.ReplaceAll(body, "0,", "\n")
		}
		for line := range strings.SplitSeq(body, "\n") {
			stream = append(stream, "data: "+line+"\r\n: between\r\n"...)
		}
		stream = append(stream, "\r\n"...)
		want = append(want, data(body))
	}
	for _, size := range []int{1, 7, 4096, len(stream)} {
		got, _ := readEvents(frame.NewSSEReader(chunks(stream, size), 1<<20))
		if !cmp.Equal(want, got, exact) {
			t.Errorf("chunks of %d: events differ", size)
		}
	}
}

// chunks returns a reader that yields at most size bytes at a time.
func chunks(p []byte, size int) io.Reader {
	return &chunked{rest: p, size: size}
}

type chunked struct {
	rest []byte
	size int
}

func (c *chunked) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.rest[:min(c.size, len(c.rest))])
	c.rest = c.rest[n:]
	return n, nil
}

func TestAppendEvent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, want string
		got        []byte
	}{
		{"data", "data: {}\n\n", frame.AppendEvent(nil, data("{}"))},
		{"appends", "x: hb\n\ndata: 1\n\n", frame.AppendEvent(frame.AppendComment([]byte("x"), "hb"), data("1"))},
		{"line ends in data", "data: { \"a\":  1  }\n\n", frame.AppendEvent(nil, data("{\r\"a\":\r\n1\n\n}"))},
		{"id and data", "id: s.1.2\ndata: {}\n\n", frame.AppendEvent(nil, frame.Event{ID: "s.1.2", Data: []byte("{}")})},
		{"empty id", "id: \n\n", frame.AppendEvent(nil, frame.Event{HasID: true})},
		{"forged id", "id: 1data: x\ndata: y\n\n", frame.AppendEvent(nil, frame.Event{ID: "1\r\ndata: x\n\x00", Data: []byte("y")})},
		{"name", "event: endpoint\ndata: /m\n\n", frame.AppendEvent(nil, frame.Event{Name: "endpoint", Data: []byte("/m")})},
		{"forged name", "event: adata: x\n\n", frame.AppendEvent(nil, frame.Event{Name: "a\ndata: x"})},
		{"priming", "id: s.1\ndata: \n\n", frame.AppendEvent(nil, frame.Event{ID: "s.1", Data: []byte{}})},
		{"retry", "retry: 1500\n\n", frame.AppendEvent(nil, frame.Event{Retry: 1500 * time.Millisecond})},
		{"comment", ": a  b\n\n", frame.AppendComment(nil, "a\r\nb")},
		{"all", "event: e\nid: 1\nretry: 2\ndata: d\n\n", frame.AppendEvent(nil, frame.Event{ID: "1", Name: "e", Data: []byte("d"), Retry: 2 * time.Millisecond})},
	} {
		if string(tt.got) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestAppendEventLeavesDataAlone(t *testing.T) {
	t.Parallel()
	in := []byte("{\n}")
	frame.AppendEvent(nil, frame.Event{Data: in})
	frame.AppendLine(nil, in)
	if !bytes.Equal(in, []byte("{\n}")) {
		t.Errorf("input changed to %q", in)
	}
}
