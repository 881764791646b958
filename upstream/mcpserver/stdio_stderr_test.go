package mcpserver

import (
	"fmt"
	"strings"
	"testing"
)

func TestLastWords(t *testing.T) {
	t.Parallel()
	tail := newStderrTail(discardLog, map[string]string{"KEY": "sk-123456", "LEVEL": "warn", "EMPTY": ""})
	if got := tail.quote(); got != "" {
		t.Errorf("nothing said, %q quoted", got)
	}
	var text strings.Builder
	for i := range 3 * stderrLines {
		fmt.Fprintf(&text, "line %d\r\n\n", i)
	}
	text.WriteString("\x1b[31mwarn: key=sk-123456\x00\u202e\n" + strings.Repeat("x", 10_000) + "\nlast without end")
	tail.drain(t.Context(), strings.NewReader(text.String()))
	got := strings.Split(tail.quote(), " | ")
	if len(got) != stderrQuote {
		t.Fatalf("%d lines: %q", len(got), got)
	}
	if want := fmt.Sprintf("line %d", 3*stderrLines-1); got[0] != want {
		t.Errorf("%q, want %q", got[0], want)
	}
	if strings.ContainsAny(got[1], "\x1b\x00\u202e") || strings.Contains(got[1], "123456") || !strings.Contains(got[1], "warn: key=[redacted]") {
		t.Errorf("%q", got[1])
	}
	if len(got[2]) != stderrLine {
		t.Errorf("a line of %d bytes was kept", len(got[2]))
	}
	if got[3] != "last without end" {
		t.Errorf("%q", got[3])
	}
	if len(tail.lines) != stderrLines {
		t.Errorf("%d lines are kept", len(tail.lines))
	}
}
