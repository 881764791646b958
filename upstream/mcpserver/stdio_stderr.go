package mcpserver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/telemetry"
)

const (
	stderrLine  = 1024 // bytes of a line that are kept
	stderrLines = 32   // lines that are kept
	stderrQuote = 4    // lines that an error message quotes
)

// stderrTail drains what a process writes to its standard error, so that it never
// blocks there, and keeps the last lines for the message about its death.
type stderrTail struct {
	log     *slog.Logger
	secrets *strings.Replacer

	mu    sync.Mutex
	lines []string // a ring; next is where the oldest stands
	next  int
}

// newStderrTail returns a tail that leaves out the values in env, and what looks like a secret: a program that prints
// its configuration must not make the gateway repeat it.
func newStderrTail(log *slog.Logger, env map[string]string) *stderrTail {
	const shortest = 6 // what is shorter is a flag or a number, and stands in any text
	var pairs []string
	for _, value := range env {
		if len(value) >= shortest {
			pairs = append(pairs, value, "[redacted]")
		}
	}
	return &stderrTail{log: log, secrets: strings.NewReplacer(pairs...)}
}

// drain reads until the process closes its standard error.
func (t *stderrTail) drain(ctx context.Context, r io.Reader) {
	lines := frame.NewLineReader(r, stderrLine)
	for {
		line, err := lines.Next()
		if err != nil && !errors.Is(err, frame.ErrTooLong) {
			return
		}
		text := strings.TrimSpace(telemetry.Clean(printable(t.secrets.Replace(string(line)))))
		if text == "" {
			continue
		}
		t.log.DebugContext(ctx, "server wrote to stderr", "line", text)
		t.keep(text)
	}
}

func (t *stderrTail) keep(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) < stderrLines {
		t.lines = append(t.lines, line)
		return
	}
	t.lines[t.next] = line
	t.next = (t.next + 1) % stderrLines
}

// quote returns the last lines for an error message; empty if there were none.
func (t *stderrTail) quote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	ordered := append(t.lines[t.next:len(t.lines):len(t.lines)], t.lines[:t.next]...)
	if len(ordered) > stderrQuote {
		ordered = ordered[len(ordered)-stderrQuote:]
	}
	return strings.Join(ordered, " | ")
}

// printable replaces what is not text, could forge log lines, or would drive a
// terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return utf8.RuneError
		}
		return r
	}, s)
}
