package e2e

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/headgate/headgate/test/fake"
)

// pairings are upstreams of each era under the name of what they speak.
func pairings(t *testing.T, tool fake.Tool) (url string, upstreams map[string]*fake.Server) {
	t.Helper()
	old, oldURL := fakeUpstream(t, fake.Config{Eras: fake.Legacy, Record: true, Tools: []fake.Tool{tool}})
	recent, recentURL := fakeUpstream(t, fake.Config{Eras: fake.Modern, Record: true, Tools: []fake.Tool{tool}})
	g := startGateway(t, "upstreams:\n"+httpUpstream("legacy", oldURL)+httpUpstream("modern", recentURL))
	return endpoint(g, "/mcp"), map[string]*fake.Server{"legacy": old, "modern": recent}
}

// caller sends calls in the way of an era. Both take the name of a tool and further
// members of the params' _meta.
type caller func(ctx context.Context, id, tool, meta string) *http.Response

func callers(t *testing.T, url string) map[string]caller {
	t.Helper()
	old, recent := legacy(t, url, "{}"), &raw{t: t, url: url}
	return map[string]caller{
		"legacy": func(ctx context.Context, id, tool, meta string) *http.Response {
			return old.open(ctx, `{"jsonrpc":"2.0","id":`+id+`,"method":"tools/call","params":{"name":"`+tool+`","_meta":{`+strings.TrimPrefix(meta, ",")+`}}}`, nil)
		},
		"modern": func(ctx context.Context, id, tool, meta string) *http.Response {
			return recent.open(ctx, `{"jsonrpc":"2.0","id":`+id+`,"method":"tools/call","params":{"name":"`+tool+`",`+strings.TrimSuffix(modernMeta, "}")+meta+`}}}`,
				modernHeaders("tools/call", tool))
		},
	}
}

func TestCorner5_2_ProgressComesBackWithTheClientsToken(t *testing.T) {
	t.Parallel()
	url, _ := pairings(t, fake.Tool{Name: "work", Behaviour: fake.Progressing(3, 0, fake.Echo)})
	for client, call := range callers(t, url) {
		for _, upstream := range []string{"legacy", "modern"} {
			for _, token := range []string{`7`, `"7"`, `9007199254740993`, `"tök\u00e9n"`} {
				res := call(t.Context(), "1", upstream+"__work", `,"progressToken":`+token)
				body, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if err != nil {
					t.Fatal(err)
				}
				if n := strings.Count(string(body), `"progressToken":`+token); n != 3 {
					t.Errorf("%s client, %s server, token %s: %d notifications bear it, want 3:\n%s", client, upstream, token, n, body)
				}
				if last := message(res, string(body)); !strings.Contains(last, `"result"`) {
					t.Errorf("%s client, %s server: the last message is %s", client, upstream, last)
				}
			}
		}
	}
}

func TestCorner5_2_WhoAsksForNoProgressGetsNone(t *testing.T) {
	t.Parallel()
	url, upstreams := pairings(t, fake.Tool{Name: "work", Behaviour: fake.Progressing(3, 0, fake.Echo)})
	for client, call := range callers(t, url) {
		for name, upstream := range upstreams {
			res := call(t.Context(), "1", name+"__work", "")
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || strings.Contains(string(body), "progress") {
				t.Errorf("%s client, %s server: %s, %v", client, name, body, err)
			}
			for _, r := range upstream.Received() {
				if strings.Contains(string(r.Body), "progressToken") {
					t.Errorf("the %s server was asked for progress: %s", name, r.Body)
				}
			}
		}
	}
}

// hanging is a tool that says when a call arrives and when it is cancelled.
func hanging() (tool fake.Tool, arrived, cancelled chan string) {
	arrived, cancelled = make(chan string, 8), make(chan string, 8)
	return fake.Tool{Name: "hang", Behaviour: func(ctx context.Context, c *fake.Call) ([]byte, error) {
		id := string(c.ID)
		arrived <- id
		<-ctx.Done()
		cancelled <- id
		return nil, ctx.Err()
	}}, arrived, cancelled
}

func TestAModernClientCancelsByLeaving(t *testing.T) {
	t.Parallel()
	tool, arrived, cancelled := hanging()
	url, _ := pairings(t, tool)
	for _, upstream := range []string{"legacy", "modern"} {
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(
				`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+upstream+`__hang",`+modernMeta+`}}`))
			if err != nil {
				return
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Accept", "application/json, text/event-stream")
			for k, v := range modernHeaders("tools/call", upstream+"__hang") {
				req.Header.Set(k, v)
			}
			if res, err := http.DefaultClient.Do(req); err == nil {
				_ = res.Body.Close()
			}
		}()
		id := <-arrived
		leave()
		if got := <-cancelled; got != id {
			t.Errorf("%s server: call %s was cancelled, want %s", upstream, got, id)
		}
	}
}

func TestCorner5_19_ALegacyClientCancelsItsOwnCallOnly(t *testing.T) {
	t.Parallel()
	tool, arrived, cancelled := hanging()
	url, upstreams := pairings(t, tool)
	for name := range upstreams {
		mine, other := legacy(t, url, "{}"), legacy(t, url, "{}")
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan string, 1)
		go func() {
			res, body := mine.postContext(ctx, `{"jsonrpc":"2.0","id":"c1","method":"tools/call","params":{"name":"`+name+`__hang"}}`)
			done <- message(res, body)
		}()
		id := <-arrived
		other.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c1"}}`, nil) // not its own
		mine.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"unknown"}}`, nil)
		select {
		case got := <-cancelled:
			t.Fatalf("%s server: call %s was cancelled by somebody else", name, got)
		default:
		}
		mine.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c1","reason":"changed my mind"}}`, nil)
		if got := <-cancelled; got != id {
			t.Errorf("%s server: call %s was cancelled, want %s", name, got, id)
		}
		<-done // the stream of a cancelled call ends
		leave()
	}
	for name, upstream := range upstreams {
		for _, r := range upstream.Received() {
			if strings.Contains(string(r.Body), "notifications/cancelled") && name == "modern" {
				t.Errorf("a modern server over HTTP was sent %s", r.Body)
			}
		}
	}
}

func TestALegacyClientThatDisconnectsHasNotCancelled(t *testing.T) {
	t.Parallel()
	release, finished, arrived := make(chan struct{}), make(chan error, 1), make(chan struct{}, 1)
	url, _ := pairings(t, fake.Tool{Name: "work", Behaviour: func(ctx context.Context, _ *fake.Call) ([]byte, error) {
		arrived <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
		}
		finished <- ctx.Err()
		return []byte(`{"content":[]}`), nil
	}})
	client := legacy(t, url, "{}")
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		client.postContext(ctx, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"legacy__work"}}`)
	}()
	<-arrived
	leave()
	<-gone
	client.post(`{"jsonrpc":"2.0","id":2,"method":"ping"}`, nil) // time for a cancel that must not come
	close(release)
	if err := <-finished; err != nil {
		t.Errorf("the call was cancelled: %v", err)
	}
}

func TestListChangesReachTheGETStream(t *testing.T) {
	t.Parallel()
	url, upstreams := pairings(t, fake.Tool{Name: "one", Behaviour: fake.Echo})
	client := legacy(t, url, "{}")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Mcp-Session-Id", client.session)
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET: %v, %v", res, err)
	}
	defer res.Body.Close()
	upstreams["legacy"].SetTools([]fake.Tool{{Name: "one", Behaviour: fake.Echo}, {Name: "two", Behaviour: fake.Echo}})
	upstreams["legacy"].Notify("notifications/tools/list_changed", nil)
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "notifications/tools/list_changed") {
			break
		}
	}
	if _, body := client.post(`{"jsonrpc":"2.0","id":5,"method":"tools/list"}`, nil); !strings.Contains(body, "legacy__two") {
		t.Errorf("the list after the notification: %s", body)
	}
}

func TestCorner5_15_NothingOfTheClientsHeadersGoesUpstream(t *testing.T) {
	t.Parallel()
	url, upstreams := pairings(t, fake.Tool{Name: "echo", Behaviour: fake.Echo})
	const canary = "canary-7f3a"
	headers := map[string]string{
		"Authorization": "Bearer " + canary, "Cookie": canary, "Proxy-Authorization": canary, "X-Api-Key": canary,
		"X-Anything": canary, "Last-Event-ID": canary, "Mcp-Param-Canary": canary, "User-Agent": canary,
		"Te": canary, "Keep-Alive": canary, "Forwarded": "for=" + canary, "Traceparent": canary,
	}
	sessions := map[string]bool{}
	for _, upstream := range []string{"legacy", "modern"} {
		old := legacy(t, url, "{}")
		sessions[old.session] = true
		old.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+upstream+`__echo"}}`, headers)
		modern := modernHeaders("tools/call", upstream+"__echo")
		maps.Copy(modern, headers)
		(&raw{t: t, url: url}).post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+upstream+`__echo",`+modernMeta+`}}`, modern)
	}
	for name, upstream := range upstreams {
		for _, r := range upstream.Received() {
			for field, values := range r.Header {
				if text := strings.Join(values, " "); strings.Contains(text, canary) || sessions[text] {
					t.Errorf("the %s server was sent %s: %s", name, field, values)
				}
			}
		}
	}
}
