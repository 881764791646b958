package frame_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc/frame"
)

// readLines drains a stream; a line that was too long is recorded as "!" and its first bytes.
func readLines(r *frame.LineReader) (lines []string, err error) {
	for {
		line, err := r.Next()
		switch {
		case errors.Is(err, frame.ErrTooLong):
			lines = append(lines, "!"+string(line))
		case err != nil:
			return lines, err
		default:
			lines = append(lines, string(line))
		}
	}
}

var lineStreams = []struct {
	name, in string
	want     []string
}{
	{"nothing", "", nil},
	{"lines", "a\nb\n", []string{"a", "b"}},
	{"CRLF", "a\r\nb\r\n", []string{"a", "b"}},
	{"only the last CR is part of the end", "a\r\r\n", []string{"a\r"}},
	{"CR alone ends nothing", "a\rb\n", []string{"a\rb"}},
	{"no end at the end", "a\nb", []string{"a", "b"}},
	{"CR at the end", "a\nb\r", []string{"a", "b"}},
	{"empty lines", "\n\r\na\n\n\r\nb\n\n", []string{"a", "b"}},
	{"only empty lines", "\n\r\n\r", nil},
	{"spaces are content", " \na\n", []string{" ", "a"}},
	{"at the limit", "12345678\n12345678\r\n12345678", []string{"12345678", "12345678", "12345678"}},
	{"above the limit", "a\n123456789\nb\n", []string{"a", "!12345678", "b"}},
	{"above the limit with CR", "123456789\r\nb\r\n", []string{"!12345678", "b"}},
	{"far above the limit", "a\n" + strings.Repeat("x", 20_000) + "\nb\n", []string{"a", "!xxxxxxxx", "b"}},
	{"above the limit at the end", "a\n123456789", []string{"a", "!12345678"}},
	{"far above the limit at the end", strings.Repeat("x", 20_000), []string{"!xxxxxxxx"}},
	{"two above the limit", strings.Repeat("x", 9) + "\n" + strings.Repeat("y", 90) + "\nb", []string{"!xxxxxxxx", "!yyyyyyyy", "b"}},
}

func TestLineReader(t *testing.T) {
	t.Parallel()
	for _, tt := range lineStreams {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for how, r := range map[string]io.Reader{
				"whole":        strings.NewReader(tt.in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
				"halves":       iotest.HalfReader(strings.NewReader(tt.in)),
				"err with eof": iotest.DataErrReader(strings.NewReader(tt.in)),
				"two":          chunks([]byte(tt.in), 2),
			} {
				l := frame.NewLineReader(r, 8)
				got, err := readLines(l)
				if !errors.Is(err, io.EOF) {
					t.Errorf("%s: error %v", how, err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
				if line, again := l.Next(); !errors.Is(again, io.EOF) || line != nil {
					t.Errorf("%s: %q, %v behind the end", how, line, again)
				}
			}
		})
	}
}

func TestLineReaderChunkBoundaries(t *testing.T) {
	t.Parallel()
	for _, tt := range lineStreams {
		if len(tt.in) > 1000 {
			continue
		}
		for cut := range len(tt.in) {
			r := io.MultiReader(strings.NewReader(tt.in[:cut]), strings.NewReader(tt.in[cut:]))
			got, _ := readLines(frame.NewLineReader(r, 8))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatalf("%s cut at %d (-want +got):\n%s", tt.name, cut, diff)
			}
		}
	}
}

func TestLineReaderLongLines(t *testing.T) {
	t.Parallel()
	want := []string{strings.Repeat("a", 70_000), "b", strings.Repeat("c", 1<<20), "d"}
	got, err := readLines(frame.NewLineReader(strings.NewReader(strings.Join(want, "\n")), 1<<20))
	if !errors.Is(err, io.EOF) || !cmp.Equal(want, got) {
		t.Errorf("lines differ, error %v", err)
	}
}

// A line that is too long is reported before its end arrives, for it may never come.
func TestLineReaderReportsAtOnce(t *testing.T) {
	t.Parallel()
	broken := errors.New("read too far")
	l := frame.NewLineReader(io.MultiReader(strings.NewReader("1234567890"), iotest.ErrReader(broken)), 8)
	if line, err := l.Next(); !errors.Is(err, frame.ErrTooLong) || string(line) != "12345678" {
		t.Errorf("%q, %v", line, err)
	}
	if line, err := l.Next(); !errors.Is(err, broken) || line != nil {
		t.Errorf("%q, %v", line, err)
	}
}

func TestLineReaderKeepsReadErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("pipe closed")
	got, err := readLines(frame.NewLineReader(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), 8))
	if diff := cmp.Diff([]string{"a"}, got); diff != "" || !errors.Is(err, broken) {
		t.Errorf("%v %s", err, diff)
	}
}

func TestAppendLine(t *testing.T) {
	t.Parallel()
	got := frame.AppendLine([]byte("x\n"), []byte("{\r\n\t\"a\": 1\n}"))
	if want := "x\n{  \t\"a\": 1 }\n"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}
