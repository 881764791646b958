package edge_test

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/rpc/mcp"
)

// older is a client of HTTP+SSE.
type older struct {
	g        *gate
	in       *frame.SSEReader
	endpoint string
	hangUp   context.CancelFunc
}

func (g *gate) older(path string, header ...string) *older {
	g.tb.Helper()
	ctx, cancel := context.WithCancel(g.tb.Context())
	resp := g.send(ctx, "GET", "", append([]string{"Path", path}, header...)...)
	g.tb.Cleanup(func() { cancel(); _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		g.tb.Fatalf("GET %s: %s", path, resp.Status)
	}
	o := &older{g: g, in: frame.NewSSEReader(resp.Body, 1<<20), hangUp: cancel}
	name, data := o.event()
	if name != "endpoint" {
		g.tb.Fatalf("first event %q %q", name, data)
	}
	o.endpoint = data
	return o
}

func (o *older) event() (name, data string) {
	o.g.tb.Helper()
	ev, err := o.in.Next()
	if err != nil {
		o.g.tb.Fatalf("stream: %v", err)
	}
	return ev.Name, string(ev.Data)
}

func (o *older) hear() string {
	o.g.tb.Helper()
	name, data := o.event()
	if name != "message" {
		o.g.tb.Fatalf("event %q %q", name, data)
	}
	return data
}

func (o *older) say(text string, header ...string) {
	o.g.tb.Helper()
	if a := o.g.do("POST", text, append([]string{"Path", o.endpoint}, header...)...); a.status != http.StatusAccepted || a.body != "" {
		o.g.tb.Fatalf("POST %s: %d %s", text, a.status, a.body)
	}
}

func (o *older) initialize() {
	o.g.tb.Helper()
	o.say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{}}}`)
	if got, want := o.hear(), `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2024-11-05"}}`; got != want {
		o.g.tb.Fatalf("initialize: %s", got)
	}
	o.say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

func TestOlderTransportServesASession(t *testing.T) {
	t.Parallel()
	ended := make(chan string, 1)
	g := open(t, setup{handle: func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{"endpoint":"`+c.Endpoint+`"}`))), nil
	}})
	g.sessions.OnEnd(func(key string) { ended <- key })
	for path, endpoint := range map[string]string{"/sse": "/mcp", "/sse/one": "/mcp/one"} {
		o := g.older(path)
		if u, err := url.Parse(o.endpoint); err != nil || u.Host != "" || u.Path != path {
			t.Errorf("endpoint %q", o.endpoint)
		}
		o.initialize()
		o.say(request("1", "tools/list"))
		if got, want := o.hear(), `{"jsonrpc":"2.0","id":1,"result":{"endpoint":"`+endpoint+`"}}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		g.sessions.Broadcast(func(e string) bool { return e == endpoint }, rpc.NewNotification(mcp.ToolsChanged, nil))
		if got := o.hear(); !strings.Contains(got, mcp.ToolsChanged) {
			t.Errorf("got %s", got)
		}
		o.hangUp()
		<-ended
	}
}

func TestOlderTransportRefuses(t *testing.T) {
	t.Parallel()
	g := open(t, setup{refuse: func(c *rpc.Call) error {
		if c.Header.Get("Origin") != "" {
			return rpc.Errorf(rpc.OriginRefused, "origin is not allowed")
		}
		return nil
	}})
	o := g.older("/sse", "X-User", "ann")
	ping := request("1", "ping")
	tests := map[string]struct {
		verb, path, body string
		header           []string
		status           int
	}{
		"an origin on GET":     {"GET", "/sse", "", []string{"Origin", "https://evil.example"}, 403},
		"an origin on POST":    {"POST", o.endpoint, ping, []string{"Origin", "https://evil.example", "X-User", "ann"}, 403},
		"JSON only":            {"GET", "/sse", "", []string{"Accept", "application/json"}, 406},
		"no such endpoint":     {"GET", "/sse/two", "", nil, 404},
		"a path like it":       {"GET", "/ssee", "", nil, 404},
		"an unknown stream":    {"POST", "/sse?sessionId=x", ping, nil, 404},
		"no stream":            {"POST", "/sse", ping, nil, 404},
		"another endpoint's":   {"POST", strings.Replace(o.endpoint, "/sse", "/sse/one", 1), ping, []string{"X-User", "ann"}, 404},
		"somebody else's":      {"POST", o.endpoint, ping, []string{"X-User", "bob"}, 404},
		"another media type":   {"POST", o.endpoint, ping, []string{"Content-Type", "text/plain"}, 415},
		"a verb that is later": {"DELETE", "/sse", "", nil, 405},
	}
	for name, test := range tests {
		if a := g.do(test.verb, test.body, append([]string{"Path", test.path}, test.header...)...); a.status != test.status {
			t.Errorf("%s: %d %s, want %d", name, a.status, a.body, test.status)
		}
	}
	o.say("nonsense", "X-User", "ann")
	if got := codeOf(t, o.hear()); got != -32700 {
		t.Errorf("nonsense: code %d", got)
	}
}

// What is in flight when the stream ends is cancelled: nobody could hear of it.
func TestOlderTransportCancelsWithItsStream(t *testing.T) {
	t.Parallel()
	begun, left := make(chan struct{}), make(chan error, 1)
	g := open(t, setup{handle: func(ctx context.Context, _ *rpc.Call) (*rpc.Reply, error) {
		close(begun)
		<-ctx.Done()
		left <- context.Cause(ctx)
		return nil, context.Cause(ctx)
	}})
	o := g.older("/sse")
	o.initialize()
	o.say(request("1", "tools/call"))
	<-begun
	o.hangUp()
	if err := <-left; err == nil {
		t.Error("the call was not cancelled")
	}
}

func TestOlderTransportEndsAtShutdown(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	o := g.older("/sse")
	if err := g.handler.(*edge.Edge).Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := o.in.Next(); err == nil {
		t.Error("the stream goes on")
	}
}

// A policy that counts what clients ask counts each request once, although each POST
// asks it twice.
func TestOlderTransportCountsEachMessageOnce(t *testing.T) {
	t.Parallel()
	var counted, posts, asked atomic.Int64
	g := open(t, setup{refuse: func(c *rpc.Call) error {
		if c.Method.Name == mcp.SessionStream {
			return nil // the session's own, which begins whenever it does
		}
		asked.Add(1)
		if c.Message.IsRequest() {
			counted.Add(1)
		} else if c.Method.Name == mcp.SessionPost {
			posts.Add(1)
		}
		return nil
	}})
	o := g.older("/sse")
	if n := counted.Load(); n != 0 {
		t.Errorf("a connection counts as %d", n)
	}
	o.initialize()
	before, posted, all := counted.Load(), posts.Load(), asked.Load()
	for i := range 5 {
		o.say(request(strconv.Itoa(i), "tools/list"))
		o.hear()
	}
	if n, p, m := counted.Load()-before, posts.Load()-posted, asked.Load()-all; n != 5 || p != 5 || m != 10 {
		t.Errorf("5 requests count as %d, in %d POSTs, and are asked for %d times", n, p, m)
	}
}
