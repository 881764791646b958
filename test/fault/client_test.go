package fault

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// client is a client that sends exact bytes and reads answers as they come. Modern ones have no session.
type client struct {
	t            *testing.T
	url          string
	modern       bool
	capabilities string
	key          string
	session      string
	web          *http.Client
	ids          atomic.Int64
}

// message is what the tests want to know of one JSON-RPC message.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`

	text string
}

// newClient connects a client that declares capabilities. Its connections end with the test.
func newClient(t *testing.T, url string, modern bool, capabilities string) *client {
	t.Helper()
	return newBearer(t, url, modern, capabilities, "")
}

// newBearer is [newClient] with a credential.
func newBearer(t *testing.T, url string, modern bool, capabilities, key string) *client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	if strings.HasPrefix(url, "https:") { // certificates of tests are nobody's
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // as said
	}
	t.Cleanup(transport.CloseIdleConnections)
	c := &client{t: t, url: url, modern: modern, capabilities: capabilities, key: key, web: &http.Client{Transport: transport}}
	if modern {
		return c
	}
	res, err := c.post(t.Context(), `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":`+
		capabilities+`,"clientInfo":{"name":"fault","version":"1"}}}`, "", "")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if c.session = res.Header.Get("Mcp-Session-Id"); c.session == "" {
		t.Fatalf("initialize: %s: %s", res.Status, body)
	}
	c.tell(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return c
}

// authorize says who calls, if that is asked.
func (c *client) authorize(req *http.Request) {
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
}

// tell sends what has no answer.
func (c *client) tell(body string) {
	if res, err := c.post(context.WithoutCancel(c.t.Context()), body, "", ""); err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
}

func (c *client) post(ctx context.Context, body, method, name string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	c.authorize(req)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	switch {
	case c.modern:
		req.Header.Set("MCP-Protocol-Version", "2026-07-28")
		req.Header.Set("Mcp-Method", method)
		if name != "" {
			req.Header.Set("Mcp-Name", name)
		}
	case c.session != "":
		req.Header.Set("Mcp-Session-Id", c.session)
		req.Header.Set("MCP-Protocol-Version", "2025-11-25")
	}
	return c.web.Do(req)
}

// request writes a request. params are members of params, without braces.
func (c *client) request(id int64, method, params, meta string) string {
	if c.modern {
		meta = strings.TrimPrefix(meta+`,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":`+
			`{"name":"fault","version":"1"},"io.modelcontextprotocol/clientCapabilities":`+c.capabilities, ",")
	}
	if meta != "" {
		params = strings.TrimPrefix(params+`,"_meta":{`+meta+`}`, ",")
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s}}`, id, method, params)
}

// call calls a tool and returns all messages of the answer, in order, until its end. hear, unless nil, gets each as it comes.
func (c *client) call(ctx context.Context, tool, params, meta string, hear func(message)) (id int64, all []message, err error) {
	id = c.ids.Add(1)
	params = strings.TrimSuffix(fmt.Sprintf(`"name":%q,%s`, tool, params), ",")
	res, err := c.post(ctx, c.request(id, "tools/call", params, meta), "tools/call", tool)
	if err != nil {
		return id, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	all, err = readMessages(res, hear)
	return id, all, err
}

// readMessages reads the messages of an answer: one in a body of JSON, or the events of a stream.
func readMessages(res *http.Response, hear func(message)) (all []message, err error) {
	take := func(text string) error {
		m := message{text: text}
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			return fmt.Errorf("%w: %q", err, text)
		}
		all = append(all, m)
		if hear != nil {
			hear(m)
		}
		return nil
	}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		body, err := io.ReadAll(res.Body)
		if err != nil || len(body) == 0 {
			return nil, err
		}
		return all, take(string(body))
	}
	lines := bufio.NewReader(res.Body)
	for {
		line, err := lines.ReadString('\n')
		if data, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "data: "); ok && data != "" {
			if err := take(data); err != nil {
				return all, err
			}
		}
		switch {
		case err == io.EOF: //nolint:errorlint // bufio returns it bare
			return all, nil
		case err != nil:
			return all, err
		}
	}
}

// listen collects what comes on a legacy session's own stream until the test ends.
func (c *client) listen() *heard {
	h := &heard{}
	ctx, cancel := context.WithCancel(c.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	c.authorize(req)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Mcp-Session-Id", c.session)
	req.Header.Set("MCP-Protocol-Version", "2025-11-25")
	res, err := c.web.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = readMessages(res, h.add)
	}()
	c.t.Cleanup(func() {
		cancel()
		<-done
		_ = res.Body.Close()
	})
	return h
}

// patience bounds waiting for what must come; only a test that fails takes so long.
const patience = 60 * time.Second

// eventually waits until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("not within %v: %s", patience, what)
			return
		}
	}
}

// alone makes the client open a connection for each request.
func (c *client) alone() {
	c.web.Transport.(*http.Transport).DisableKeepAlives = true
}
