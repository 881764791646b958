package frame_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc/frame"
)

// parseStream is the judge: the algorithm of WHATWG HTML section 9.2.6 written down as it stands there, over a whole stream in
// memory, with the differences that SSEReader documents and without a limit.
func parseStream(in string) (events []frame.Event, lastID string) {
	in = strings.TrimPrefix(in, "\uFEFF")
	var ev frame.Event
	var lines []string // of data
	dispatch := func() {
		if ev.HasID {
			lastID = ev.ID
		}
		if lines != nil {
			ev.Data = []byte(strings.Join(lines, "\n"))
		}
		if ev.Data != nil || ev.HasID || ev.Retry > 0 {
			events = append(events, ev)
		}
		ev, lines = frame.Event{}, nil
	}
	field := func(line string) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "data":
			lines = append(lines, value)
		case "event":
			ev.Name = value
		case "id":
			if !strings.Contains(value, "\x00") {
				ev.ID, ev.HasID = value, true
			}
		case "retry":
			if value != "" && strings.Trim(value, "0123456789") == "" {
				ev.Retry = 24 * time.Hour
				if digits := strings.TrimLeft(value, "0"); len(digits) < 10 {
					ms, _ := json.Number("0" + digits).Float64()
					ev.Retry = min(ev.Retry, max(time.Millisecond, time.Duration(ms)*time.Millisecond))
				}
			}
		}
	}
	for {
		n := strings.IndexAny(in, "\r\n")
		if n < 0 {
			break
		}
		line := in[:n]
		if strings.HasPrefix(in[n:], "\r\n") {
			n++
		}
		in = in[n+1:]
		if line == "" {
			dispatch()
		} else if line[0] != ':' {
			field(line)
		}
	}
	if name, _, _ := strings.Cut(in, ":"); name == "data" {
		field(in)
	}
	if lines == nil {
		ev.ID, ev.HasID = "", false
	}
	dispatch()
	return events, lastID
}

func TestJudgeAgreesWithTable(t *testing.T) {
	t.Parallel()
	for _, tt := range streams {
		if tt.err != nil {
			continue
		}
		got, lastID := parseStream(tt.in)
		if diff := cmp.Diff(tt.want, got, exact); diff != "" || lastID != tt.lastID {
			t.Errorf("%s: last id %q (-want +got):\n%s", tt.name, lastID, diff)
		}
	}
}

func FuzzSSEReader(f *testing.F) {
	for _, tt := range streams {
		f.Add([]byte(tt.in), uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		want, lastID := parseStream(string(in))
		for _, n := range []int{1, int(size) + 1, len(in) + 1} {
			r := frame.NewSSEReader(chunks(in, n), len(in)+1)
			got, err := readEvents(r)
			if !errors.Is(err, io.EOF) {
				t.Fatalf("chunks of %d: %v", n, err)
			}
			if diff := cmp.Diff(want, got, exact); diff != "" {
				t.Fatalf("chunks of %d (-want +got):\n%s", n, diff)
			}
			if r.LastEventID() != lastID {
				t.Fatalf("chunks of %d: last event id %q, want %q", n, r.LastEventID(), lastID)
			}
			lent, _ := readEvents(frame.NewSSEReader(&lender{Reader: chunks(in, n)}, len(in)+1))
			if diff := cmp.Diff(want, lent, exact); diff != "" {
				t.Fatalf("lent chunks of %d (-want +got):\n%s", n, diff)
			}
		}
		bounded(t, in, int(size))
	})
}

// bounded checks that a small limit yields a prefix of what no limit yields, whatever the chunks.
func bounded(t *testing.T, in []byte, limit int) {
	t.Helper()
	want, _ := parseStream(string(in))
	whole, wholeErr := readEvents(frame.NewSSEReader(bytes.NewReader(in), limit))
	bytewise, bytewiseErr := readEvents(frame.NewSSEReader(chunks(in, 1), limit))
	if !cmp.Equal(whole, bytewise, exact) || !errors.Is(bytewiseErr, wholeErr) {
		t.Fatalf("limit %d depends on the chunks: %v, %v", limit, wholeErr, bytewiseErr)
	}
	if len(whole) > len(want) || len(whole) > 0 && !cmp.Equal(whole, want[:len(whole)], exact) {
		t.Fatalf("limit %d changed events", limit)
	}
	if errors.Is(wholeErr, io.EOF) && len(whole) != len(want) {
		t.Fatalf("limit %d lost events without an error", limit)
	}
}

func FuzzLineReader(f *testing.F) {
	for _, tt := range lineStreams {
		f.Add([]byte(tt.in), uint8(8))
	}
	f.Fuzz(func(t *testing.T, in []byte, limit uint8) {
		var want []string
		for line := range strings.SplitSeq(string(in), "\n") {
			switch line = strings.TrimSuffix(line, "\r"); {
			case len(line) > int(limit):
				want = append(want, "!"+line[:limit])
			case line != "":
				want = append(want, line)
			}
		}
		for _, n := range []int{1, 3, int(limit) + 1, len(in) + 1} {
			got, err := readLines(frame.NewLineReader(chunks(in, n), int(limit)))
			if !errors.Is(err, io.EOF) {
				t.Fatalf("chunks of %d: %v", n, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("chunks of %d (-want +got):\n%s", n, diff)
			}
			lent, _ := readLines(frame.NewLineReader(&lender{Reader: chunks(in, n)}, int(limit)))
			if diff := cmp.Diff(want, lent); diff != "" {
				t.Fatalf("lent chunks of %d (-want +got):\n%s", n, diff)
			}
		}
	})
}

// Any valid JSON text that is written must come back from either framing: the same value, and but for CR and LF, which
// become spaces, the same bytes. What is not JSON comes back too, and never as more than one message.
func FuzzRoundTrip(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1}`, "{\r\n\t\"a\" :\r 1.0\n}", "{\"a\":\"\u2028\u0085\"}", `"\r\n"`, " 1", "[1e400,\r\"data: x\"]", "\n", "",
		"{}\ndata: {}\n\ndata: {}", "\uFEFF{}", "\x00",
	} {
		f.Add([]byte(seed), "1", "message")
	}
	f.Fuzz(func(t *testing.T, msg []byte, id, name string) {
		stream := frame.AppendComment(nil, id)
		stream = frame.AppendEvent(stream, frame.Event{ID: id, Name: name, Data: append([]byte{}, msg...)})
		stream = frame.AppendEvent(stream, frame.Event{Data: []byte("end")})
		got, err := readEvents(frame.NewSSEReader(bytes.NewReader(stream), len(stream)))
		if !errors.Is(err, io.EOF) || len(got) != 2 || string(got[1].Data) != "end" {
			t.Fatalf("%q read as %+v, %v", stream, got, err)
		}
		same(t, msg, got[0].Data)

		lines, err := readLines(frame.NewLineReader(bytes.NewReader(frame.AppendLine(frame.AppendLine(nil, msg), []byte("end"))), len(msg)+3))
		if !errors.Is(err, io.EOF) || lines[len(lines)-1] != "end" || len(lines) > 2 {
			t.Fatalf("%q read as %q, %v", msg, lines, err)
		}
		if len(lines) == 2 {
			same(t, msg, []byte(lines[0]))
		} else if len(msg) != 0 {
			t.Fatalf("%q was lost", msg)
		}
	})
}

func same(t *testing.T, sent, got []byte) {
	t.Helper()
	blank := strings.NewReplacer("\r", " ", "\n", " ")
	if blank.Replace(string(sent)) != string(got) {
		t.Fatalf("sent %q, got %q", sent, got)
	}
	if !json.Valid(sent) {
		return
	}
	var a, b bytes.Buffer
	if err := errors.Join(json.Compact(&a, sent), json.Compact(&b, got)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Fatalf("sent value %s, got %s", a.Bytes(), b.Bytes())
	}
}

// What EventIn takes for one event is one, and nothing else.
func FuzzEventIn(f *testing.F) {
	for _, s := range []string{"data: a\n\n", "data: a\r\n\r\n", "data: a\n\ndata: b\n\n", "data: \n\n", "data:a\n\n", "data: a\nid: 1\n\n", "data: a\r\n\n", "data: a\n", "\n\n", ": a\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		data, ok := frame.EventIn(p)
		if !ok {
			return
		}
		r := frame.NewSSEReader(strings.NewReader(": \n"+string(p)), len(p)+1)
		ev, err := r.Next()
		if err != nil || !exactly(ev, data) || !r.Between() {
			t.Errorf("%q holds %+v, %v, not only %q", p, ev, err, data)
		}
		if ev, err = r.Next(); err != io.EOF { //nolint:errorlint // it is returned itself
			t.Errorf("%q holds a second event %+v, %v", p, ev, err)
		}
	})
}

// exactly reports whether an event has data and nothing else.
func exactly(ev frame.Event, data []byte) bool {
	return string(ev.Data) == string(data) && ev.Data != nil && ev.Name == "" && !ev.HasID && ev.Retry == 0
}

func TestBetween(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"":                     false,
		"data: a\n\n":          true,
		"data: a\n\n\n":        false,
		"data: a\n\nd":         false,
		"data: a\n\ndata: b\n": false,
		"data: a\n\n: x\n":     false,
		"data: a\r\r":          false,
	} {
		r := frame.NewSSEReader(io.MultiReader(strings.NewReader(in), iotest.ErrReader(errors.New("more"))), 100)
		if in != "" {
			if _, err := r.Next(); err != nil {
				t.Fatal(in, err)
			}
		}
		if got := r.Between(); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
}
