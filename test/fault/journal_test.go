package fault

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/telemetry"
)

// journal is what a gateway writes down: its log at debug level, and its audit log.
type journal struct {
	mu    sync.Mutex
	log   bytes.Buffer
	audit string // the path
}

// Write implements io.Writer, for the log.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.Write(p)
}

// lines returns all of it, line by line. The gateway has been stopped.
func (j *journal) lines(t *testing.T) (log, audit []string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	text, err := os.ReadFile(j.audit)
	if err != nil {
		t.Fatal(err)
	}
	split := func(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n") }
	return split(j.log.String()), split(string(text))
}

// startJournaled runs a gateway that writes a journal. It ends with stop.
func startJournaled(t *testing.T, yaml string) (g *gateway.Gateway, j *journal, stop func()) {
	t.Helper()
	dir := t.TempDir()
	j = &journal{audit: filepath.Join(dir, "audit.jsonl")}
	path := filepath.Join(dir, "headgate.yaml")
	text := fmt.Sprintf("version: 1\nlisten: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\ndata_dir: %s\naudit: {file: %s, required: true}\n"+
		"shutdown: {grace: 0s, drain: 5s}\n%s", filepath.Join(dir, "data"), j.audit, yaml)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, os.LookupEnv)
	if err != nil {
		t.Fatalf("configuration:\n%s\n%v", text, err)
	}
	log, err := telemetry.NewLogger(j, "debug", "json", cfg.Secrets()...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	if g, err = gateway.New(ctx, cfg, gateway.Options{Log: log, Version: "test", Environ: os.Environ()}); err != nil {
		cancel()
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		defer cancel()
		within, done := context.WithTimeout(ctx, 30*time.Second)
		defer done()
		if err := g.StopNow(within); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	t.Cleanup(stop)
	if err := g.Start(ctx); err != nil {
		t.Fatal(err)
	}
	warm, done := context.WithTimeout(ctx, 60*time.Second)
	defer done()
	g.Warm(warm)
	return g, j, stop
}

// exchange sends the bytes of a request, and returns those of the answer.
func exchange(t *testing.T, addr, head, body string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"+
		"Accept: application/json, text/event-stream\r\nContent-Length: %d\r\n%s\r\n%s", len(body), head, body); err != nil {
		t.Fatal(err)
	}
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(bufio.NewReader(conn)); err != nil && answer.Len() == 0 {
		t.Fatal(err)
	}
	return answer.String()
}

// TestT20_LinesAreEvents lets clients name methods, tools and requests with what could forge lines or drive a terminal.
func TestT20_LinesAreEvents(t *testing.T) {
	runs := times(1, 50)
	names := []string{
		`a\r\n{\"level\":\"ERROR\"}`, `\u001b[31mred\u001b]0;x\u0007`, "abc\u202egpj.exe", `\u0000\u007f\u0085\u009b`, "\u2028\u2066x",
		"https://x/\u202e" + strings.Repeat("p", 2000), strings.Repeat("n", 1<<20),
	}
	row := &Row{ID: "T20", What: "names, methods and ids that could forge lines: each line of the logs is one event and parses"}
	enter(t, row)
	fine := serveHostile(t, &misdeed{say: func(v *victim) []string { return []string{v.good()} }}, true)
	g, j, stop := startJournaled(t, "upstreams:\n"+upstreamEntry("fine", "modern", fine.url(), nil))
	c := newClient(t, g.URL(), false, "{}")
	calls := 1
	for range runs {
		for _, name := range names {
			for _, message := range []string{
				fmt.Sprintf(`{"jsonrpc":"2.0","id":"%s","method":"tools/call","params":{"name":"fine__plain"`, name),
				fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"%s"`, name),
				fmt.Sprintf(`{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"%s"`, name),
				fmt.Sprintf(`{"jsonrpc":"2.0","id":3,"method":"%s","params":{"a":1`, name),
			} {
				answer := exchange(t, g.Addr(), "Mcp-Session-Id: "+c.session+"\r\n", message+"}}")
				if !strings.HasPrefix(answer, "HTTP/1.1 ") || strings.Contains(answer, "\x1b") {
					t.Fatalf("%.300q", answer)
				}
				calls++
			}
		}
	}
	stop()
	log, audit := j.lines(t)
	for _, line := range append(log, audit...) {
		if !json.Valid([]byte(line)) || !utf8.ValidString(line) || strings.ContainsFunc(line, forges) {
			t.Errorf("%.500q", line)
		}
		if len(line) > 16<<10 {
			t.Errorf("a line of %d bytes: %.200q", len(line), line)
		}
	}
	row.Count = fmt.Sprintf("%d calls", calls)
	row.Figures = fmt.Sprintf("%d lines in the log, %d in the audit log", len(log), len(audit))
	if len(audit) > calls || len(audit) == 0 {
		t.Errorf("%d lines in the audit log for %d calls", len(audit), calls)
	}
}

// forges reports characters that end lines, drive terminals or change the writing direction.
func forges(r rune) bool {
	return r < 0x20 || 0x7f <= r && r <= 0x9f || 0x2028 <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069
}
