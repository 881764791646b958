package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake"
)

// startForStop is startGateway for a test that stops the gateway itself, with the configuration's way to shut down.
func startForStop(t *testing.T, shutdown, upstreams string) *gateway.Gateway {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "headgate.yaml")
	text := "version: 1\nlisten: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\ndata_dir: " + filepath.Join(dir, "data") +
		"\nshutdown: " + shutdown + "\nupstreams:\n" + upstreams
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	g, err := gateway.New(ctx, cfg, gateway.Options{Log: slog.New(slog.NewTextHandler(logTo{t}, nil)), Version: "test", Environ: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(ctx); err != nil {
		t.Fatal(err)
	}
	warm, done := context.WithTimeout(ctx, time.Minute)
	defer done()
	g.Warm(warm)
	return g
}

// stopping stops a gateway beside the test, and delivers what came of it.
func stopping(t *testing.T, g *gateway.Gateway) <-chan error {
	t.Helper()
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		g.Drain(ctx)
		stopped <- g.Stop(ctx)
	}()
	return stopped
}

// held is a tool that answers when it is let.
func held() (tool fake.Tool, arrived chan struct{}, let func()) {
	arrived = make(chan struct{}, 64)
	free := make(chan struct{})
	return fake.Tool{Name: "held", Behaviour: func(ctx context.Context, c *fake.Call) ([]byte, error) {
		arrived <- struct{}{}
		select {
		case <-free:
			return fake.Echo(ctx, c)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}, arrived, sync.OnceFunc(func() { close(free) })
}

// heldCalls makes a call of each kind of client to servers of both eras, and waits until all have arrived. Each
// delivers the last message that it got, or how it failed.
func heldCalls(t *testing.T, g *gateway.Gateway, arrived <-chan struct{}) map[string]<-chan string {
	t.Helper()
	out := map[string]<-chan string{}
	for _, upstream := range []string{"legacy", "modern"} {
		tool := upstream + "__held"
		call := func(id, meta string) string {
			return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":%q,"arguments":{"text":"whole"}%s}}`, id, tool, meta)
		}
		session, stateless := legacy(t, endpoint(g, "/mcp"), "{}"), &raw{t: t, url: endpoint(g, "/mcp")}
		for name, ask := range map[string]func() string{
			"legacy over HTTP": func() string { return message(session.post(call("1", ""), nil)) },
			"modern over HTTP": func() string {
				return message(stateless.post(call("1", ","+modernMeta), modernHeaders("tools/call", tool)))
			},
			"legacy over WebSocket": onSocket(t, g, call("7", ""), true),
			"modern over WebSocket": onSocket(t, g, call("7", ","+modernMeta), false),
			"legacy over HTTP+SSE":  onEvents(t, g, call("7", "")),
			"go-sdk, legacy":        withGoSDK(t, g, "2025-11-25", tool),
			"go-sdk, modern":        withGoSDK(t, g, "2026-07-28", tool),
		} {
			answer := make(chan string, 1)
			go func() { answer <- ask() }()
			out[name+" to "+upstream] = answer
		}
	}
	for range out {
		select {
		case <-arrived:
		case <-time.After(time.Minute):
			t.Fatal("not all calls arrived")
		}
	}
	return out
}

// onSocket opens a WebSocket and returns what says a text there, if any, and hears the answer to its id, 7, and how the
// connection ended, if not in the way of a server that goes away (RFC 6455 §7.4.1).
func onSocket(t *testing.T, g *gateway.Gateway, text string, session bool) func() string {
	t.Helper()
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(endpoint(g, "/mcp"), "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	say := func(text string) {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Error(err)
		}
	}
	if session {
		say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
		if _, _, err := conn.ReadMessage(); err != nil {
			t.Fatal(err)
		}
		say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	}
	return func() (heard string) {
		if text != "" {
			say(text)
		}
		for {
			_, m, err := conn.ReadMessage()
			switch {
			case err == nil && strings.Contains(string(m), `"id":7`):
				heard += string(m)
			case websocket.IsCloseError(err, websocket.CloseGoingAway):
				return heard
			case err != nil:
				return heard + " and then " + err.Error()
			}
		}
	}
}

// onEvents opens a session over HTTP+SSE and returns what says a text there and hears the answer to its id, 7.
func onEvents(t *testing.T, g *gateway.Gateway, text string) func() string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, endpoint(g, "/sse"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	stream := events(res)
	to := &raw{t: t, url: endpoint(g, await(t, stream, "sessionId"))}
	to.post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, nil)
	await(t, stream, `"id":1`)
	to.post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`, nil)
	return func() (heard string) {
		to.post(text, nil)
		for m := range stream {
			if strings.Contains(m, `"id":7`) {
				heard += m
			}
		}
		return heard
	}
}

// withGoSDK returns what calls a tool with a foreign client.
func withGoSDK(t *testing.T, g *gateway.Gateway, revision, tool string) func() string {
	t.Helper()
	s := goSDKSession(t, overHTTP(endpoint(g, "/mcp")), revision)
	return func() string {
		res, err := s.CallTool(context.WithoutCancel(t.Context()), &gosdk.CallToolParams{Name: tool, Arguments: map[string]any{"text": "whole"}})
		if err != nil {
			return err.Error()
		}
		return jsonOf(t, res)
	}
}

func upstreamsOfBothEras(t *testing.T, tool fake.Tool) string {
	t.Helper()
	_, old := fakeUpstream(t, fake.Config{Eras: fake.Legacy, Tools: []fake.Tool{tool}})
	_, recent := fakeUpstream(t, fake.Config{Eras: fake.Modern, Tools: []fake.Tool{tool}})
	return httpUpstream("legacy", old) + httpUpstream("modern", recent)
}

// Calls in flight are answered while the gateway stops, whatever their clients are, and new clients find nobody.
func TestCallsInFlightAreAnsweredWhileTheGatewayStops(t *testing.T) {
	t.Parallel()
	tool, arrived, let := held()
	defer let()
	g := startForStop(t, "{grace: 0s, drain: 50s}", upstreamsOfBothEras(t, tool))
	address := endpoint(g, "/mcp")
	calls := heldCalls(t, g, arrived)
	stopped := stopping(t, g)
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	eventually(t, "no connection is accepted", func() bool {
		res, err := fresh.Get(address)
		if err == nil {
			_ = res.Body.Close()
		}
		return err != nil
	})
	select {
	case err := <-stopped:
		t.Fatalf("it stopped with calls in flight: %v", err)
	default:
	}
	let()
	for name, answer := range calls {
		if got := <-answer; !strings.Contains(got, "whole") || strings.Contains(got, "and then") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// Calls that take longer than the gateway waits are given up, and their clients are told to try again: none is cut off.
func TestCallsThatTakeTooLongAreGivenUp(t *testing.T) {
	t.Parallel()
	tool, arrived, let := held()
	defer let()
	g := startForStop(t, "{grace: 0s, drain: 1s}", upstreamsOfBothEras(t, tool))
	calls := heldCalls(t, g, arrived)
	stopped := stopping(t, g)
	for name, answer := range calls {
		got := <-answer
		wants := []string{"shutting down", `"reason":"draining"`, `"retryable":true`}
		if strings.HasPrefix(name, "go-sdk") { // it looks at the status alone
			wants = []string{http.StatusText(http.StatusServiceUnavailable)}
		}
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		}
	}
	if err := <-stopped; err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("stop says %v", err)
	}
}

// Streams end in the way that their era resumes, at once and not when the time for calls is over.
func TestStreamsEndWhenTheGatewayStops(t *testing.T) {
	t.Parallel()
	g := startForStop(t, "{grace: 0s, drain: 50s}", upstreamsOfBothEras(t, echo))
	subscription := listening(t, endpoint(g, "/mcp"), `{"toolsListChanged":true}`)
	await(t, subscription, "acknowledged")
	stream := legacy(t, endpoint(g, "/mcp"), "{}").hearing()
	socket := onSocket(t, g, "", true)
	heard := make(chan string, 1)
	go func() { heard <- socket() }()
	if err := <-stopping(t, g); err != nil {
		t.Error(err)
	}
	await(t, subscription, `"id":"listen"`, `"result"`)
	if m, more := <-stream; more {
		t.Errorf("the session's stream goes on: %s", m)
	}
	if got := <-heard; got != "" {
		t.Errorf("the WebSocket: %s", got)
	}
}

// While balancers are given time to notice, all is served as before, and clients are asked to open other connections.
func TestClientsAreAskedToLeaveDuringTheGrace(t *testing.T) {
	t.Parallel()
	g := startForStop(t, "{grace: 5m, drain: 1s}", upstreamsOfBothEras(t, echo))
	c := legacy(t, endpoint(g, "/mcp"), "{}")
	ping := func(id int) *http.Response {
		res, body := c.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, id), nil)
		if !strings.Contains(body, `"result"`) {
			t.Errorf("%s: %s", res.Status, body)
		}
		return res
	}
	if ping(1).Close {
		t.Error("a gateway that is to stay asks clients to leave")
	}
	ctx, over := context.WithCancel(t.Context())
	drained := make(chan struct{})
	go func() {
		g.Drain(ctx)
		close(drained)
	}()
	id := 1
	eventually(t, "clients are asked to leave", func() bool { id++; return ping(id).Close })
	res, err := http.Get("http://" + g.AdminAddr() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("readyz: %s", res.Status)
	}
	over()
	<-drained
	if err := g.Stop(context.WithoutCancel(t.Context())); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// In HTTP/2 clients are asked to leave by a GOAWAY: what is in flight is answered, and the next request takes another connection.
func TestHTTP2ClientsAreAskedToLeave(t *testing.T) {
	t.Parallel()
	tool, arrived, let := held()
	defer let()
	dir := t.TempDir()
	ours := newAuthority(t)
	ours.write(dir, "tls", ours.issue(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}))
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	_, recent := fakeUpstream(t, fake.Config{Eras: fake.Modern, Tools: []fake.Tool{tool, {Name: "echo", Behaviour: fake.Echo}}})
	g := startForStop(t, fmt.Sprintf("{grace: 5m, drain: 50s}\ntls: {cert: %[1]s/tls.crt, key: %[1]s/tls.key}", dir), httpUpstream("modern", recent))
	web := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	call := func(tool string) (answer, conn string, err error) {
		body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"modern__` + tool + `","arguments":{"text":"whole"},` + modernMeta + `}}`
		trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { conn = i.Conn.LocalAddr().String() }}
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.WithoutCancel(t.Context()), trace), http.MethodPost, g.URL(), strings.NewReader(body))
		if err != nil {
			return "", "", err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		for k, v := range modernHeaders("tools/call", "modern__"+tool) {
			req.Header.Set(k, v)
		}
		res, err := web.Do(req)
		if err != nil {
			return "", conn, err
		}
		defer res.Body.Close() //nolint:errcheck // read to its end
		text, err := io.ReadAll(res.Body)
		if res.ProtoMajor != 2 {
			t.Errorf("it is %s", res.Proto)
		}
		return string(text), conn, err
	}
	_, first, err := call("echo")
	if err != nil {
		t.Fatal(err)
	}
	long := make(chan string, 1)
	go func() {
		answer, conn, err := call("held")
		if conn != first {
			t.Error("it took another connection before it was asked to")
		}
		long <- fmt.Sprint(answer, err)
	}()
	<-arrived
	ctx, over := context.WithCancel(t.Context())
	drained := make(chan struct{})
	go func() {
		g.Drain(ctx)
		close(drained)
	}()
	eventually(t, "the client leaves the connection", func() bool {
		answer, conn, err := call("echo")
		if err != nil || !strings.Contains(answer, "whole") {
			t.Errorf("%s %v", answer, err)
		}
		return conn != first
	})
	let()
	if got := <-long; !strings.Contains(got, "whole") {
		t.Errorf("the call in flight: %s", got)
	}
	over()
	<-drained
	if err := g.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}
