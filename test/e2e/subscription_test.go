package e2e

//lint:file-ignore SA1019 deprecated features must be carried for as long as peers use them

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/test/fake"
)

// changing is a server of the Go SDK whose tools and one resource change, and whose
// tool logs.
type changing struct {
	*gosdk.Server
	subscribed, unsubscribed chan string
}

const note = "note://a/b"

func startChanging(t *testing.T, era string) (s *changing, url string) {
	t.Helper()
	s = &changing{subscribed: make(chan string, 16), unsubscribed: make(chan string, 16)}
	s.Server = gosdk.NewServer(&gosdk.Implementation{Name: "changing", Version: "1"}, &gosdk.ServerOptions{
		Capabilities: &gosdk.ServerCapabilities{Logging: &gosdk.LoggingCapabilities{}},
		SubscribeHandler: func(_ context.Context, r *gosdk.SubscribeRequest) error {
			s.subscribed <- r.Params.URI
			return nil
		},
		UnsubscribeHandler: func(_ context.Context, r *gosdk.UnsubscribeRequest) error {
			s.unsubscribed <- r.Params.URI
			return nil
		},
	})
	s.AddResource(&gosdk.Resource{URI: note, Name: "note"}, func(context.Context, *gosdk.ReadResourceRequest) (*gosdk.ReadResourceResult, error) {
		return &gosdk.ReadResourceResult{}, nil
	})
	s.addTool("first")
	web := httptest.NewServer(gosdk.NewStreamableHTTPHandler(func(*http.Request) *gosdk.Server { return s.Server },
		&gosdk.StreamableHTTPOptions{Stateless: era == "modern"}))
	t.Cleanup(func() { web.CloseClientConnections(); web.Close() })
	return s, web.URL
}

// addTool adds a tool that logs at two levels.
func (s *changing) addTool(name string) {
	gosdk.AddTool(s.Server, &gosdk.Tool{Name: name}, func(ctx context.Context, r *gosdk.CallToolRequest, _ struct{}) (*gosdk.CallToolResult, any, error) {
		for _, level := range []gosdk.LoggingLevel{"info", "error"} {
			if err := r.Session.Log(ctx, &gosdk.LoggingMessageParams{Level: level, Logger: "db", Data: "said"}); err != nil {
				return nil, nil, err
			}
		}
		return &gosdk.CallToolResult{Content: []gosdk.Content{}}, nil, nil
	})
}

// tick logs at two levels outside of calls, again and again: what is said before a stream is open is lost.
func (s *changing) tick(ctx context.Context) {
	for ; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		for session := range s.Sessions() {
			for _, level := range []gosdk.LoggingLevel{"info", "error"} {
				_ = session.Log(ctx, &gosdk.LoggingMessageParams{Level: level, Logger: "db", Data: "tick"}) // fails with the test
			}
		}
	}
}

// events reads a stream's messages in the background.
func events(res *http.Response) <-chan string {
	out := make(chan string, 64)
	go func() {
		defer close(out)
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && data != "" { // streams begin with an id and no message
				out <- data
			}
		}
	}()
	return out
}

// await returns the next message of a stream that holds all of the texts.
func await(t *testing.T, stream <-chan string, texts ...string) string {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case m, ok := <-stream:
			if !ok {
				t.Fatalf("the stream ended before %q", texts)
			}
			missing := false
			for _, text := range texts {
				missing = missing || !strings.Contains(m, text)
			}
			if !missing {
				return m
			}
		case <-limit:
			t.Fatalf("nothing holds %q", texts)
		}
	}
}

// listening opens a modern client's stream. It ends with the test.
func listening(t *testing.T, url, filter string) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	res := (&raw{t: t, url: url}).open(ctx, `{"jsonrpc":"2.0","id":"listen","method":"subscriptions/listen","params":{"notifications":`+filter+
		`,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, modernHeaders("subscriptions/listen", ""))
	t.Cleanup(func() { cancel(); _ = res.Body.Close() })
	return events(res)
}

// hearing opens the stream of a legacy client's session. It ends with the test.
func (r *raw) hearing() <-chan string {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Mcp-Session-Id", r.session)
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { cancel(); _ = res.Body.Close() })
	return events(res)
}

// Clients of both eras hear what changes at servers of both eras, on the endpoint that
// merges them with another server.
func TestChangesInAllPairings(t *testing.T) {
	t.Parallel()
	for _, era := range []string{"legacy", "modern"} {
		t.Run(era+" server", func(t *testing.T) {
			t.Parallel()
			server, url := startChanging(t, era)
			_, other := fakeUpstream(t, fake.Config{})
			g := startGateway(t, fmt.Sprintf("upstreams:\n  up: {url: %q, era: %s}\n", url, era)+httpUpstream("other", other))
			merged := endpoint(g, "/mcp")

			modern := listening(t, merged, `{"toolsListChanged":true,"resourceSubscriptions":["`+note+`"]}`)
			await(t, modern, "subscriptions/acknowledged", `"toolsListChanged":true`, note, `subscriptionId":"listen"`)
			client := legacy(t, merged, "{}")
			old := client.hearing()
			if _, body := client.post(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"`+note+`"}}`, nil); !strings.Contains(body, `"result":{}`) {
				t.Fatalf("subscribe: %s", body)
			}
			if got := <-server.subscribed; got != note {
				t.Errorf("subscribed to %s", got)
			}

			if err := server.ResourceUpdated(t.Context(), &gosdk.ResourceUpdatedNotificationParams{URI: note}); err != nil {
				t.Fatal(err)
			}
			await(t, modern, "resources/updated", note, `subscriptionId":"listen"`)
			if m := await(t, old, "resources/updated", note); strings.Contains(m, "subscriptionId") {
				t.Errorf("a legacy client got %s", m)
			}
			server.addTool("second")
			await(t, modern, "tools/list_changed", `subscriptionId":"listen"`)
			await(t, old, "tools/list_changed")

			client.post(`{"jsonrpc":"2.0","id":2,"method":"resources/unsubscribe","params":{"uri":"`+note+`"}}`, nil)
			if era == "legacy" && len(server.unsubscribed) != 0 {
				t.Error("unsubscribed while somebody listens")
			}
		})
	}
}

// A client that goes away is not subscribed for any more.
func TestCorner5_23_SubscriptionEndsWithTheClient(t *testing.T) {
	t.Parallel()
	server, url := startChanging(t, "legacy")
	g := startGateway(t, fmt.Sprintf("upstreams:\n  up: {url: %q, era: legacy}\n", url))
	client := legacy(t, endpoint(g, "/mcp/up"), "{}")
	client.post(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"`+note+`"}}`, nil)
	<-server.subscribed
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, client.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Mcp-Session-Id", client.session)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	select {
	case got := <-server.unsubscribed:
		if got != note {
			t.Errorf("unsubscribed from %s", got)
		}
	case <-time.After(20 * time.Second):
		t.Error("still subscribed")
	}
}

// Nor is one that crashed, when its session has not been used for a while.
func TestCorner5_23_SubscriptionEndsWithAnUnusedSession(t *testing.T) {
	t.Parallel()
	server, url := startChanging(t, "legacy")
	g := startGateway(t, fmt.Sprintf("sessions: {idle: 1s}\nupstreams:\n  up: {url: %q, era: legacy}\n", url))
	legacy(t, endpoint(g, "/mcp/up"), "{}").
		post(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"`+note+`"}}`, nil)
	<-server.subscribed
	select {
	case <-server.unsubscribed:
	case <-time.After(20 * time.Second):
		t.Error("still subscribed")
	}
}

// Log levels hold in all pairings, and loggers say whose they are.
func TestCorner5_22_LogLevelsInAllPairings(t *testing.T) {
	t.Parallel()
	for _, era := range []string{"legacy", "modern"} {
		t.Run(era+" server", func(t *testing.T) {
			t.Parallel()
			_, url := startChanging(t, era)
			_, other := fakeUpstream(t, fake.Config{})
			g := startGateway(t, fmt.Sprintf("upstreams:\n  up: {url: %q, era: %s}\n", url, era)+httpUpstream("other", other))
			merged := endpoint(g, "/mcp")
			check := func(who, body string, infos, errors int) {
				t.Helper()
				if i, e := strings.Count(body, `"level":"info"`), strings.Count(body, `"level":"error"`); i != infos || e != errors {
					t.Errorf("%s: %d and %d messages, want %d and %d: %s", who, i, e, infos, errors, body)
				}
			}
			call := func(level string) string {
				if level != "" {
					level = `"io.modelcontextprotocol/logLevel":"` + level + `",`
				}
				_, body := (&raw{t: t, url: merged}).post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"up__first","arguments":{},"_meta":{`+level+
					`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, modernHeaders("tools/call", "up__first"))
				return body
			}
			check("modern, none", call(""), 0, 0)
			check("modern, info", call("info"), 1, 1)
			check("modern, error", call("error"), 0, 1)
			client := legacy(t, merged, "{}")
			client.post(`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}`, nil)
			_, body := client.post(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"up__first","arguments":{}}}`, nil)
			check("legacy, error", body, 0, 1)
			if !strings.Contains(body, `"logger":"up/db"`) {
				t.Errorf("whose logger is it: %s", body)
			}
		})
	}
}

// What a server logs outside of calls reaches the legacy clients of all endpoints that hold it, as far as they want it.
func TestCorner5_22_LogsOutsideOfCallsReachLegacyClients(t *testing.T) {
	t.Parallel()
	server, url := startChanging(t, "legacy")
	_, other := fakeUpstream(t, fake.Config{})
	g := startGateway(t, fmt.Sprintf("upstreams:\n  up: {url: %q, era: legacy}\n", url)+httpUpstream("other", other))
	client := func(path, tool, level string) <-chan string {
		c := legacy(t, endpoint(g, path), "{}")
		if level != "" {
			c.post(`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"`+level+`"}}`, nil)
		}
		c.post(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"`+tool+`","arguments":{}}}`, nil)
		return c.hearing()
	}
	merged, single := client("/mcp", "up__first", "error"), client("/mcp/up", "first", "info")
	beside := client("/mcp/other", "echo", "debug")
	modern := listening(t, endpoint(g, "/mcp"), `{"toolsListChanged":true}`)
	await(t, modern, "acknowledged")
	ticking, stop := context.WithCancel(t.Context())
	defer stop()
	go server.tick(ticking)
	if first := await(t, merged, "notifications/message"); !strings.Contains(first, `"logger":"up/db"`) || !strings.Contains(first, `"error"`) {
		t.Errorf("the merged endpoint begins with %s", first)
	}
	if first := await(t, single, "notifications/message"); !strings.Contains(first, `"logger":"db"`) || !strings.Contains(first, `"info"`) {
		t.Errorf("the server's own endpoint begins with %s", first)
	}
	server.addTool("second") // comes after the logs
	await(t, merged, "tools/list_changed")
	for {
		m := <-modern
		if strings.Contains(m, "notifications/message") {
			t.Errorf("a modern client hears %s", m)
		}
		if strings.Contains(m, "tools/list_changed") {
			break
		}
	}
	select {
	case m := <-beside:
		t.Errorf("another server's endpoint hears %s", m)
	default:
	}
}
