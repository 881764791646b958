package main

import (
	"strings"
	"testing"

	"github.com/headgate/headgate/test/fake"
)

const modernCall = `{"jsonrpc":"2.0","id":"m","method":"tools/call","params":{"name":"echo","arguments":{"n":1.0},` +
	`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`

func TestStdioPassesOnToAGatewayThatRuns(t *testing.T) {
	t.Parallel()
	for name, eras := range map[string]fake.Era{"legacy server": fake.Legacy, "modern server": fake.Modern} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, fake.Config{Eras: eras})
			input := strings.Join([]string{
				`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`,
				`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
				`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"n":1.0}}}`,
				modernCall,
			}, "\n")
			got := runWith(t, &app{in: strings.NewReader(input)}, "stdio", "--url", url)
			if got.code != exitOK {
				t.Fatalf("exit code %d: %s", got.code, got.errors)
			}
			lines := strings.Split(strings.TrimSpace(got.out), "\n")
			if len(lines) != 3 {
				t.Fatalf("%d lines, want 3:\n%s", len(lines), got.out)
			}
			for _, id := range []string{`"id":1,`, `"id":2,`, `"id":"m",`} {
				if !strings.Contains(got.out, id) {
					t.Errorf("nothing answers %s:\n%s", id, got.out)
				}
			}
			if strings.Contains(got.out, `"error"`) {
				t.Errorf("an error:\n%s", got.out)
			}
		})
	}
}

func TestStdioTakesOneGatewayOnly(t *testing.T) {
	t.Parallel()
	got := run(t, "stdio", "--url", "http://127.0.0.1:1/mcp", "--mcp-config", "x.json")
	if got.code != exitUnexpected || !strings.Contains(got.errors, "exclude each other") {
		t.Errorf("exit code %d: %s", got.code, got.errors)
	}
}

func TestStdioSaysThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	got := runWith(t, &app{in: strings.NewReader(modernCall)}, "stdio", "--url", "http://127.0.0.1:1/mcp")
	if !strings.Contains(got.out, `"id":"m","error"`) {
		t.Errorf("answer %q", got.out)
	}
}
