package edge_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state/seal"
)

// BenchmarkCall measures one call over a kept connection on loopback, with an answer
// as long as the request. "bare" is net/http with a handler that reads the body and
// writes it back: what the edge adds is the difference.
func BenchmarkCall(b *testing.B) {
	for _, size := range []int{256, 64 << 10} {
		result := []byte(`{"text":"` + strings.Repeat("x", size) + `"}`)
		handle := func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			return rpc.Respond(rpc.NewResult(c.Message.ID, result)), nil
		}
		text := `"name":"echo","arguments":{"text":"` + strings.Repeat("x", size) + `"}`
		modernBody, modernHeader := modern("1", "tools/call", text)
		legacyBody := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + text + `}}`
		b.Run(fmt.Sprintf("size=%d/bare", size), func(b *testing.B) { benchmarkBare(b, legacyBody) })
		b.Run(fmt.Sprintf("size=%d/modern", size), func(b *testing.B) {
			g := open(b, setup{handle: handle})
			exchange(b, g.addr, post(modernBody, modernHeader...))
		})
		b.Run(fmt.Sprintf("size=%d/legacy", size), func(b *testing.B) {
			g := open(b, setup{handle: handle})
			exchange(b, g.addr, post(legacyBody, g.session()...))
		})
	}
}

func benchmarkBare(b *testing.B, body string) {
	b.Helper()
	l := loopback(b)
	buf := make([]byte, 1<<20)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, buf[:r.ContentLength])
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
		_, _ = w.Write(buf[:r.ContentLength])
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	b.Cleanup(func() { _ = server.Close(); <-done })
	exchange(b, l.Addr().String(), post(body))
}

// post is an HTTP/1.1 request as bytes.
func post(body string, header ...string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench/1\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	for i := 0; i+1 < len(header); i += 2 {
		fmt.Fprintf(&out, "%s: %s\r\n", header[i], header[i+1])
	}
	return out.String() + "\r\n" + body
}

// exchange sends the same request over one connection b.N times.
func exchange(b *testing.B, addr, text string) {
	b.Helper()
	c, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReaderSize(c, 1<<17)
	out := []byte(text)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(out); err != nil {
			b.Fatal(err)
		}
		if err := skipAnswer(in); err != nil {
			b.Fatal(err)
		}
	}
}

// skipAnswer reads an answer of status 200 that has a length, without allocating.
func skipAnswer(in *bufio.Reader) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(line), "HTTP/1.1 200") {
		return fmt.Errorf("answer: %s", line)
	}
	length := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			_, err = in.Discard(length)
			return err
		}
		if value, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		}
	}
}

// BenchmarkServeHTTP is the edge alone: no connection, no net/http.
func BenchmarkServeHTTP(b *testing.B) {
	keys, err := seal.Ephemeral()
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	sessions := session.New(session.Config{}, keys, log)
	b.Cleanup(func() { _ = sessions.Close(context.WithoutCancel(b.Context())) })
	result := []byte(`{"content":[{"type":"text","text":"` + strings.Repeat("x", 200) + `"}]}`)
	e := edge.New(edge.Config{}, edge.Deps{
		Handler: rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			return rpc.Respond(rpc.NewResult(c.Message.ID, result)), nil
		}),
		Sessions: sessions, Endpoints: func(string) bool { return true }, Log: log,
	})
	id, err := sessions.Open(b.Context(), rpc.Client{Revision: legacyRevision, Info: []byte(`{"name":"bench","version":"1"}`), Capabilities: []byte(`{}`)}, rpc.Principal{}, "/mcp", nil)
	if err != nil {
		b.Fatal(err)
	}
	text := `"name":"echo","arguments":{"text":"` + strings.Repeat("x", 100) + `"}`
	modernBody, modernHeader := modern("1", "tools/call", text)
	for _, tt := range []struct {
		name, body string
		header     []string
	}{
		{"modern", modernBody, modernHeader},
		{"legacy", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + text + `}}`, []string{"Mcp-Session-Id", id}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			body := strings.NewReader(tt.body)
			r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://127.0.0.1/mcp", body)
			if err != nil {
				b.Fatal(err)
			}
			r.RemoteAddr = "127.0.0.1:5000"
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Accept", "application/json, text/event-stream")
			for i := 0; i+1 < len(tt.header); i += 2 {
				r.Header.Set(tt.header[i], tt.header[i+1])
			}
			w := &sink{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(tt.body)
				clear(w.header)
				e.ServeHTTP(w, r)
				if w.status != http.StatusOK {
					b.Fatalf("status %d", w.status)
				}
			}
		})
	}
}

// sink is a response nobody reads.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

func (s *sink) SetReadDeadline(time.Time) error  { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }
