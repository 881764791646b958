package mcpserver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// instant is an upstream.Doer that answers at once, so that only this package is
// measured.
type instant struct {
	handshake, result string
	calls             uint64
}

func (d *instant) Do(_ context.Context, r *upstream.Request) (*upstream.Response, error) {
	body := d.handshake
	switch {
	case r.Method == http.MethodGet || bytes.Contains(r.Body, []byte(`"server/discover"`)) && strings.Contains(body, "protocolVersion"):
		return upstream.NewResponse(http.StatusMethodNotAllowed, nil, 0, http.NoBody), nil
	case bytes.Contains(r.Body, []byte(`"tools/call"`)):
		d.calls++
		body = `{"jsonrpc":"2.0","id":` + strconv.FormatUint(d.calls+1, 10) + `,"result":` + d.result + `}`
	}
	return upstream.NewResponse(200, http.Header{"Content-Type": {"application/json"}}, int64(len(body)), io.NopCloser(strings.NewReader(body))), nil
}

func BenchmarkHTTPCall(b *testing.B) {
	for name, size := range map[string]int{"256B": 256, "64KiB": 64 << 10} {
		content := `{"content":[{"type":"text","text":"` + strings.Repeat("x", size) + `"}]}`
		b.Run("modern/"+name, func(b *testing.B) {
			benchmarkHTTPCall(b, modernClient(), modernToolCall("1", "echo", `{}`), &instant{
				result:    content,
				handshake: `{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"]}}`,
			})
		})
		b.Run("legacy/"+name, func(b *testing.B) {
			benchmarkHTTPCall(b, legacyClient(), toolCall("1", "echo", `{}`), &instant{
				result:    content,
				handshake: `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}`,
			})
		})
	}
}

func benchmarkHTTPCall(b *testing.B, client rpc.Client, text string, doer *instant) {
	era := client.Era.String()
	s, err := New(config.Upstream{Name: "x", URL: "http://127.0.0.1:1/", Era: era, Timeout: time.Minute}, Deps{Log: discardLog})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close(b.Context()) }()
	s.dial.(*httpDialer).client = doer
	if _, err := s.Describe(b.Context()); err != nil {
		b.Fatal(err)
	}
	m, err := rpc.Parse([]byte(text), rpc.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	c := &rpc.Call{Message: m, Method: &rpc.Method{Name: "tools/call", Subject: "name"}, Client: client, Target: rpc.Target{Own: "echo"}}
	b.ReportAllocs()
	b.SetBytes(int64(len(doer.result)))
	var out []byte
	for b.Loop() {
		reply, err := s.Handle(b.Context(), c)
		if err != nil {
			b.Fatal(err)
		}
		answer, err := reply.Next()
		if err != nil {
			b.Fatal(err)
		}
		out = answer.AppendTo(out[:0])
		reply.Close()
	}
}
