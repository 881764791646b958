package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/headgate/headgate/telemetry"
)

// logger returns a logger at debug level and what it writes.
func logger(tb testing.TB, format string, secrets ...string) (*slog.Logger, *bytes.Buffer) {
	tb.Helper()
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "debug", format, secrets...)
	if err != nil {
		tb.Fatal(err)
	}
	return log, &out
}

const (
	random = "q7Rz2LwK9sTfV4xB8nYc"
	token  = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLWFsaWNl"
)

func TestSecretsAreLeftOut(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"bearer":                 "sent Authorization: Bearer " + random,
		"basic":                  "basic " + random + "==",
		"prefix":                 "the key sk-" + random + " is not known",
		"own key":                "key hgk_" + random + random,
		"token":                  "cannot parse " + token + ": expired",
		"token without a name":   "(" + token + ")",
		"user of an address":     "dial https://bob:" + random + "@db.example.com/x: refused",
		"query":                  "GET /x?a=1&api_key=" + random + "&b=2",
		"short value of a query": "GET /x?access_token=q7Rz2&b=2",
		"member":                 `{"user":"bob","password":"` + random + `"}`,
		"quoted member":          `"{\"client_secret\": \"` + random + `\"}"`,
		"header":                 "X-Api-Key: " + random,
		"known":                  "it said: correct horse battery, and left",
		"known, in an address":   "/x?q=correct+horse+battery",
		"known, in a path":       "/x/correct%20horse%20battery",
		"a cut one":              `it said "Bearer q7Rz2…"`,
		"a cut key":              `it said "key sk-q7Rz2…"`,
		"a cut password":         `it said "dial https://bob:xq7Rz2…"`,
		"random":                 "it printed " + random + random,
	} {
		for _, format := range []string{"json", "text"} {
			log, out := logger(t, format, "correct horse battery", "correct", "on")
			log.Debug(text, "text", text, "error", errors.New(text), "header", http.Header{"X": {text}}, slog.Group("group", "in", text))
			log.With("more", text).WithGroup("deeper").Info("x", "bytes", []string{text})
			if got := out.String(); strings.Contains(got, "q7Rz2") || strings.Contains(got, "horse") || strings.Contains(got, token[30:]) {
				t.Errorf("%s, %s: %s", name, format, got)
			} else if n := strings.Count(got, "redacted"); n < 7 {
				t.Errorf("%s, %s: %d of 7: %s", name, format, n, got)
			}
		}
	}
}

func TestNamesOfFieldsHideTheirValues(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"authorization", "Set-Cookie", "apiKey", "x-api-key", "client_secret", "password", "token", "refreshToken", "credentials"} {
		log, out := logger(t, "json")
		log.Info("x", name, "abc", slog.Group("g", name, []int{1}), "tokens", 12)
		if got := out.String(); strings.Contains(got, "abc") || strings.Contains(got, "[1]") || !strings.Contains(got, `"tokens":12`) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// What is no secret is worth reading.
func TestWordsStay(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"jwt token: signature is invalid", "unexpected token: expired", "upstream \"files\" sent nothing for 45s",
		"https://files.example.com:8443/mcp?tenant=12&page=2", "0af7651916cd43dd8448eb211c80319c", "b7ad6b71-6920-4331-9d4a-0af765191fff",
		"github.com/headgate/headgate/upstream/mcpserver.(*Server).Handle", "TestServersEndWithTheGatewayThatStartedThem20",
		"no basic rule applies", "a tokenizer: fast", "at 2026-11-22T12:00:00.000Z",
	} {
		log, out := logger(t, "json")
		log.Info("x", "text", text)
		var line struct{ Text string }
		if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Text != text {
			t.Errorf("%q became %q (%v)", text, line.Text, err)
		}
	}
}

// A log line is one line that any reader of its format takes, whatever stands in it.
func TestT20_LogLinesAreEvents(t *testing.T) {
	t.Parallel()
	nasty := []string{
		"a\r\n{\"level\":\"ERROR\"}", "\x1b[31mred\x1b]0;title\x07", "abc\u202egpj.exe", "\u2066x\u2069", "\x00\x7f\u0085\u009b31m", "\xff\xfe",
		strings.Repeat("é", 1<<19), "\u2028\u2029", "\u200b\u200e\ufeff",
	}
	for _, format := range []string{"json", "text"} {
		log, out := logger(t, format)
		events := 0
		for _, text := range nasty {
			log.Info(text, "name", text, slog.Group("g", "error", errors.New(text)))
			log.With("with", text).Warn("x", "list", []string{text})
			events += 2
		}
		log.Error("panic in a call", "stack", strings.Repeat("goroutine 1:\n\tmain.go:1\n", 2000))
		events++
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != events {
			t.Errorf("%s: %d lines for %d events", format, len(lines), events)
		}
		for _, line := range lines {
			if i := strings.IndexFunc(line, forges); i >= 0 || !utf8.ValidString(line) {
				t.Errorf("%s: %q at %d of %.200q", format, line[i:i+1], i, line)
			}
			if len(line) > 40<<10 {
				t.Errorf("%s: a line of %d bytes", format, len(line))
			}
			if format == "json" && !json.Valid([]byte(line)) {
				t.Errorf("no JSON: %.200q", line)
			}
		}
	}
}

// forges reports characters that end lines, drive terminals or change the writing direction.
func forges(r rune) bool {
	return r < 0x20 || 0x7f <= r && r <= 0x9f || 0x2028 <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 || r == 0x200e || r == 0x200f
}

func FuzzLogLines(f *testing.F) {
	f.Add("Authorization: Bearer abc", "x=\x1b[0m&token=1")
	f.Add("://u:p@", "\"password\":\"\\\"")
	f.Fuzz(func(t *testing.T, message, value string) {
		log, out := logger(t, "json", "s3cr3t!")
		log.Info(message, "a", value, "b", []string{value}, "c", fmt.Errorf("s3cr3t!%s", value))
		line := out.String()
		if strings.Count(line, "\n") != 1 || !json.Valid([]byte(line)) || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), forges) {
			t.Errorf("%q", line)
		}
		if strings.Contains(line, "s3cr3t!") {
			t.Errorf("the secret is in %q", line)
		}
	})
}

func BenchmarkLog(b *testing.B) {
	log, out := logger(b, "json", random, token)
	err := errors.New(`upstream "files": dial tcp 127.0.0.1:8080: connect: connection refused`)
	for b.Loop() {
		out.Reset()
		log.Info("call", "method", "tools/call", "endpoint", "/mcp", "request_id", "17", "upstream", "files", "error", err)
	}
}
