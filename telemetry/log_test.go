package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
)

// at is when golden lines are logged.
var at = time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)

// line returns what a handler writes for a record.
func line(ctx context.Context, t *testing.T, with []slog.Attr, level slog.Level, msg string, attrs ...slog.Attr) string {
	t.Helper()
	var out bytes.Buffer
	log, err := NewLogger(&out, "debug", "json", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	r := slog.NewRecord(at, level, msg, 0)
	r.AddAttrs(attrs...)
	if err := log.Handler().WithAttrs(with).Handle(ctx, r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestGoldenLines(t *testing.T) {
	t.Parallel()
	const head = `{"timestamp":"2026-11-22T12:00:00.123456789Z",`
	span := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	for name, tc := range map[string]struct {
		ctx   context.Context
		with  []slog.Attr
		level slog.Level
		attrs []slog.Attr
		want  string
	}{
		"bare":      {want: `"level":"INFO","component":"gateway","msg":"m"}`},
		"component": {with: []slog.Attr{Component("edge")}, level: slog.LevelWarn, want: `"level":"WARN","component":"edge","msg":"m"}`},
		"traced": {
			ctx:  span,
			want: `"level":"INFO","component":"gateway","msg":"m","trace_id":"01000000000000000000000000000000","span_id":"0200000000000000"}`,
		},
		"kinds": {
			with: []slog.Attr{slog.String("upstream", "files")},
			attrs: []slog.Attr{
				slog.Int("n", -3), slog.Uint64("u", 4), slog.Bool("b", true), slog.Float64("f", 0.5), slog.Duration("duration", 1234567*time.Nanosecond),
				slog.Duration("less", -1500*time.Millisecond), slog.Time("t", at), slog.Any("e", errors.New("broken")), slog.Any("l", []int{1, 2}), slog.Any("none", nil),
			},
			want: `"level":"INFO","component":"gateway","msg":"m","upstream":"files","n":-3,"u":4,"b":true,"f":0.5,"duration":0.001235,"less":-1.500000,` +
				`"t":"2026-11-22T12:00:00.123456789Z","e":"broken","l":[1,2],"none":null}`,
		},
		"escapes": {
			attrs: []slog.Attr{slog.String("s", "a\"b\\c\nd\te\x00f\u2028g\xffhé")},
			want:  `"level":"INFO","component":"gateway","msg":"m","s":"a\"b\\c\nd\te` + "\ufffdf\ufffdg\ufffdh" + `é"}`,
		},
		"secrets": {
			attrs: []slog.Attr{slog.String("password", "x"), slog.String("s", "is correct horse"), slog.Group("g", slog.String("token", "x"), slog.Group("", slog.Int("i", 1)))},
			want:  `"level":"INFO","component":"gateway","msg":"m","password":"[redacted]","s":"is [redacted]","g":{"token":"[redacted]","i":1}}`,
		},
	} {
		if tc.ctx == nil {
			tc.ctx = t.Context()
		}
		if diff := cmp.Diff(head+tc.want+"\n", line(tc.ctx, t, tc.with, tc.level, "m", tc.attrs...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The handler is one by the rules of the standard library, but for the name of the time, and that it always has one.
func TestHandlerIsOne(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		out.Reset()
		log, err := NewLogger(&out, "debug", "json")
		if err != nil {
			t.Fatal(err)
		}
		return log.Handler()
	}, func(t *testing.T) map[string]any {
		var got map[string]any
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%v: %s", err, out.Bytes())
		}
		if at, ok := got["timestamp"]; ok {
			delete(got, "timestamp")
			got[slog.TimeKey] = at
		}
		return got
	})
}

// sink is where lines are written to.
type sink struct {
	mu     sync.Mutex
	text   strings.Builder
	writes int
	err    error
	short  int // how much is taken of what fails
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.err != nil {
		n := min(s.short, len(p))
		s.text.Write(p[:n])
		return n, s.err
	}
	return s.text.Write(p)
}

func (s *sink) set(err error, short int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.short = err, short
}

// lines are the messages of what was written, and how often something was.
func (s *sink) lines(t *testing.T) (messages []string, writes int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for each := range strings.Lines(s.text.String()) {
		var event struct{ Msg string }
		if err := json.Unmarshal([]byte(each), &event); err != nil {
			messages = append(messages, "cut")
			continue
		}
		messages = append(messages, event.Msg)
	}
	return messages, s.writes
}

func open(t *testing.T, c LogConfig) *Logs {
	t.Helper()
	c.Level, c.Format = "info", "json"
	l, err := OpenLogs(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Lines about calls are written together; whatever else is logged is written at once, behind them.
func TestBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &sink{}
		l := open(t, LogConfig{To: out})
		calls := l.With(Component(AccessComponent))
		expect := func(writes int, want ...string) {
			t.Helper()
			synctest.Wait()
			if got, n := out.lines(t); !cmp.Equal(got, want) || n != writes {
				t.Errorf("%q by %d writes, want %q by %d", got, n, want, writes)
			}
		}
		calls.Info("1")
		calls.Info("2")
		time.Sleep(lineDelay - 1)
		expect(0)
		time.Sleep(time.Nanosecond)
		expect(1, "1", "2")
		calls.Info("3")
		l.Info("4")
		expect(2, "1", "2", "3", "4")
		calls.Warn("5")
		expect(3, "1", "2", "3", "4", "5")
		calls.Info("6")
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		expect(4, "1", "2", "3", "4", "5", "6")
		calls.Info("7")
		expect(5, "1", "2", "3", "4", "5", "6", "7")
	})
}

func TestFullBatchesDoNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &sink{}
		l := open(t, LogConfig{To: out})
		calls := l.With(Component(AccessComponent))
		n := 0
		for began := time.Now(); ; n++ {
			calls.Info("call", "text", strings.Repeat("x y ", 200))
			if synctest.Wait(); func() int { _, writes := out.lines(t); return writes }() > 0 {
				if n < 60 || n > 80 || time.Since(began) > 0 {
					t.Errorf("written after %d lines and %s", n, time.Since(began))
				}
				break
			}
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Whatever lines are written to may be stuck: calls go on, and what is lost is counted.
func TestCallsDoNotWaitForTheirLines(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	l := open(t, LogConfig{To: w})
	calls := l.With(Component(AccessComponent))
	const each = 1 << 10
	for range 3 * lineRoom / each {
		calls.Info("call", "text", strings.Repeat("x y ", each/4))
	}
	if l.Lost() < lineRoom/each {
		t.Errorf("%d lines are lost", l.Lost())
	}
	var read atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		text, _ := io.ReadAll(r)
		read.Store(int64(bytes.Count(text, []byte("\n"))))
	}()
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	_ = w.Close()
	<-done
	if got := read.Load() + l.Lost(); got != 3*lineRoom/each {
		t.Errorf("%d lines are written or counted as lost", got)
	}
}

func TestFailuresAreToldOnce(t *testing.T) {
	t.Parallel()
	out := &sink{}
	var told []string
	w := newLineWriter(out, func(err error) {
		if err == nil {
			told = append(told, "good")
			return
		}
		told = append(told, err.Error())
	})
	write := func(text string) { _ = w.write([]byte(text+"\n"), false) }
	write(`{"msg":"1"}`)
	out.set(errors.New("full"), 0)
	write(`{"msg":"2"}`)
	write(`{"msg":"3"}`)
	out.set(errors.New("still full"), 4)
	write(`{"msg":"4"}`)
	out.set(nil, 0)
	write(`{"msg":"5"}`)
	write(`{"msg":"6"}`)
	got, _ := out.lines(t)
	if want := []string{"1", "cut", "5", "6"}; !cmp.Equal(got, want) || w.lost.Load() != 3 {
		t.Errorf("%q and %d lost, want %q and 3", got, w.lost.Load(), want)
	}
	if want := []string{"full", "good"}; !cmp.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// A disk that is full stops nothing, and is spoken of once.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Log("this system has no /dev/full; TestFailuresAreToldOnce covers what follows from a failure")
		return
	}
	aside := &sink{}
	l := open(t, LogConfig{To: aside, File: &LogFile{Path: "/dev/full"}})
	for range 5 {
		l.Info("a line")
	}
	if got, _ := aside.lines(t); !cmp.Equal(got, []string{"log file: lines are lost"}) || l.Lost() != 5 {
		t.Errorf("told %q, %d lost", got, l.Lost())
	}
	_ = l.Close(t.Context())
}

func TestFileChangesWithTheDay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "headgate.log")
	now := time.Date(2026, 11, 22, 23, 59, 0, 0, time.Local)
	aside := &sink{}
	l := open(t, LogConfig{To: aside, File: &LogFile{Path: path, Keep: 3, Now: func() time.Time { return now }}})
	content := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	l.Info("first")
	now = now.Add(time.Minute)
	l.Info("second")
	l.Info("third")
	if text := content(path); strings.Contains(text, "first") || strings.Count(text, "\n") != 2 {
		t.Errorf("the file of the day holds %s", text)
	}
	old, err := filepath.Glob(filepath.Join(dir, "headgate-*.log"))
	if err != nil || len(old) != 1 || !strings.Contains(content(old[0]), "first") {
		t.Errorf("older files: %q, %v", old, err)
	}
	for range 8 {
		now = now.Add(24 * time.Hour)
		time.Sleep(2 * time.Millisecond) // old files are named by the millisecond
		l.Info("a day later")
	}
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for begin := time.Now(); ; time.Sleep(time.Millisecond) { // they are removed in the background
		if old, err = filepath.Glob(filepath.Join(dir, "headgate-*.log")); err != nil || len(old) == 3 {
			break
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("older files are left: %q", old)
		}
	}
	if got, _ := aside.lines(t); got != nil {
		t.Errorf("beside the file: %q", got)
	}
}

// What an earlier process has left of another day is no part of today's file.
func TestFileOfAnEarlierDay(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "headgate.log")
	if err := os.WriteFile(path, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(path, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	l := open(t, LogConfig{To: io.Discard, File: &LogFile{Path: path}})
	l.Info("new")
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), "old") || !strings.Contains(string(text), "new") {
		t.Errorf("%q, %v", text, err)
	}
}

func TestBadLogConfigurations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]LogConfig{
		"level":       {Level: "loud", Format: "json"},
		"format":      {Level: "info", Format: "xml"},
		"file's dir":  {Level: "info", Format: "json", File: &LogFile{Path: filepath.Join(t.TempDir(), "none", "x.log")}},
		"collector":   {Level: "info", Format: "json", OTLP: "http://a b"},
		"both levels": {Level: "loud", Format: "json", File: &LogFile{Path: filepath.Join(t.TempDir(), "x.log")}},
	} {
		c.To = io.Discard
		if _, err := OpenLogs(t.Context(), c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func BenchmarkAccessLine(b *testing.B) {
	l, err := OpenLogs(b.Context(), LogConfig{Level: "info", Format: "json", To: io.Discard, Secrets: []string{"correct horse battery", "another secret of it"}})
	if err != nil {
		b.Fatal(err)
	}
	h := l.With(Component(AccessComponent)).Handler()
	b.ReportAllocs()
	for b.Loop() {
		r := slog.NewRecord(at, slog.LevelInfo, "call", 0)
		r.AddAttrs(
			slog.String("method", "tools/call"), slog.String("endpoint", "/mcp"), slog.String("request_id", "1234"), slog.String("session_id", "0f1e2d3c4b5a"),
			slog.String("remote", "127.0.0.1:54321"), slog.String("upstream", "files"), slog.String("target", "files__read_text_file"),
			slog.String("status", "ok"), slog.Int("attempts", 1), slog.Duration("duration", 1234567), slog.Duration("upstream_duration", 1134567),
		)
		if err := h.Handle(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
