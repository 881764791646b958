package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake"
)

// startGateway runs a gateway on free loopback ports with the given upstreams and
// endpoints, written as the configuration file has them. Where that begins with listen it
// listens there.
func startGateway(t testing.TB, yaml string) *gateway.Gateway {
	t.Helper()
	return startGatewayWith(t, yaml, slog.NewTextHandler(logTo{t}, nil))
}

// startGatewayWith is startGateway with a log of the caller's, which gets everything.
func startGatewayWith(t testing.TB, yaml string, log slog.Handler) *gateway.Gateway {
	t.Helper()
	return startGatewayAt(t, filepath.Join(t.TempDir(), "data"), yaml, log)
}

// startGatewayAt is startGatewayWith in a data directory of the caller's.
func startGatewayAt(t testing.TB, data, yaml string, log slog.Handler) *gateway.Gateway {
	t.Helper()
	if !strings.HasPrefix(yaml, "listen:") {
		yaml = "listen: 127.0.0.1:0\n" + yaml
	}
	text := "version: 1\nadmin: {listen: 127.0.0.1:0}\ndata_dir: " + data +
		"\nshutdown: {grace: 0s, drain: 5s}\n" + yaml
	path := filepath.Join(t.TempDir(), "headgate.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, os.LookupEnv)
	if err != nil {
		t.Fatalf("configuration:\n%s\n%v", text, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g, err := gateway.New(ctx, cfg, gateway.Options{
		Log: slog.New(log), Version: "test", Environ: os.Environ(),
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop, done := context.WithTimeout(context.Background(), 20*time.Second)
		defer done()
		if err := g.StopNow(stop); err != nil { // draining has tests of its own; calls that a test leaves may wait for minutes
			t.Errorf("stop: %v", err)
		}
		cancel()
	})
	if err := g.Start(ctx); err != nil {
		t.Fatal(err)
	}
	warm, done := context.WithTimeout(ctx, 60*time.Second)
	defer done()
	g.Warm(warm)
	return g
}

// endpoint returns the URL of a path on a gateway.
func endpoint(g *gateway.Gateway, path string) string { return "http://" + g.Addr() + path }

// logTo writes the gateway's log lines into the test's log.
type logTo struct{ t testing.TB }

func (l logTo) Write(p []byte) (int, error) {
	l.t.Log(string(bytes.TrimSpace(p)))
	return len(p), nil
}

// stdioUpstream writes the configuration of a server that is run as a child.
func stdioUpstream(name string, argv []string) string {
	var args []string
	for _, a := range argv[1:] {
		args = append(args, fmt.Sprintf("%q", a))
	}
	return fmt.Sprintf("  %s: {command: %q, args: [%s]}\n", name, argv[0], strings.Join(args, ", "))
}

// httpUpstream writes the configuration of a server that is reached over HTTP.
func httpUpstream(name, url string) string { return fmt.Sprintf("  %s: {url: %q}\n", name, url) }

// fakeUpstream runs a fake server over HTTP and returns it with its URL.
func fakeUpstream(t testing.TB, cfg fake.Config) (*fake.Server, string) {
	t.Helper()
	s := fake.New(cfg)
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		web.CloseClientConnections()
		web.Close()
	})
	return s, web.URL
}

// stdioServer builds the fake stdio server and returns its command line.
func stdioServer(t testing.TB, args ...string) []string {
	t.Helper()
	return append([]string{built(t, "github.com/headgate/headgate/test/fake/stdioserver")}, args...)
}

// headgate builds the program and returns its path.
func headgate(t testing.TB) string {
	t.Helper()
	return built(t, "github.com/headgate/headgate/cmd/headgate")
}

// built builds a program of this module and returns its path.
func built(t testing.TB, pkg string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), path.Base(pkg))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", file, pkg)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return file
}

// raw is a client that sends exact bytes.
type raw struct {
	t       testing.TB
	url     string
	session string // of a legacy client
	key     string // what it proves itself with; empty for nothing
}

// modernHeaders are those a modern request with this method and name needs.
func modernHeaders(method, name string) map[string]string {
	h := map[string]string{"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
	if name != "" {
		h["Mcp-Name"] = name
	}
	return h
}

// legacy opens a session for a client that declares nothing, or the capabilities
// given.
func legacy(t testing.TB, url, capabilities string) *raw {
	t.Helper()
	r := &raw{t: t, url: url}
	res, body := r.post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":`+
		capabilities+`,"clientInfo":{"name":"raw","version":"1"}}}`, nil)
	if r.session = res.Header.Get("Mcp-Session-Id"); r.session == "" {
		t.Fatalf("initialize: %s: %s", res.Status, body)
	}
	r.post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`, nil)
	return r
}

// post sends one body and returns the response with its whole body.
func (r *raw) post(body string, headers map[string]string) (*http.Response, string) {
	r.t.Helper()
	res := r.open(r.t.Context(), body, headers)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Errorf("read the answer: %v", err)
	}
	return res, string(text)
}

// postContext sends one body and returns what came before ctx ended.
func (r *raw) postContext(ctx context.Context, body string) (*http.Response, string) {
	res, err := r.send(ctx, body, nil)
	if err != nil {
		return &http.Response{Header: http.Header{}}, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil && ctx.Err() == nil {
		r.t.Errorf("read the answer: %v", err)
	}
	return res, string(text)
}

// open sends one body and returns the response as soon as it begins. Where there is
// none it fails the test and returns an empty one.
func (r *raw) open(ctx context.Context, body string, headers map[string]string) *http.Response {
	r.t.Helper()
	res, err := r.send(ctx, body, headers)
	if err != nil {
		r.t.Errorf("POST: %v", err)
		return &http.Response{Header: http.Header{}, Body: http.NoBody}
	}
	return res
}

func (r *raw) send(ctx context.Context, body string, headers map[string]string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	if r.session != "" {
		req.Header.Set("Mcp-Session-Id", r.session)
		req.Header.Set("MCP-Protocol-Version", "2025-11-25")
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	return http.DefaultClient.Do(req)
}

// message returns the JSON of an answer: the body, or the data of the last event.
func message(res *http.Response, body string) string {
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return body
	}
	last := ""
	for line := range strings.Lines(body) {
		if data, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "data: "); ok {
			last = data
		}
	}
	return last
}
