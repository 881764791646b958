package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/test/fake"
)

// visiting is a legacy server whose tool wants a page to be visited first, and takes it
// for visited when it has been called so often.
func visiting(t *testing.T, calls int32) (url string, upstream *fake.Server) {
	t.Helper()
	var called atomic.Int32
	refusal := fake.Error{Code: -32042, Message: "visit", Data: []byte(`{"elicitations":[{"mode":"url","elicitationId":"e1","url":"https://x.example/secret","message":"m"}]}`)}
	upstream, at := fakeUpstream(t, fake.Config{Eras: fake.Legacy, Tools: []fake.Tool{{Name: "page", Behaviour: func(ctx context.Context, c *fake.Call) ([]byte, error) {
		if called.Add(1) < calls {
			return nil, &refusal
		}
		return fake.Echo(ctx, c)
	}}}})
	g := startGateway(t, "upstreams:\n"+httpUpstream("up", at))
	return endpoint(g, "/mcp/up"), upstream
}

// modernCall makes a modern client's call with these capabilities and further members
// of its params.
func modernCall(t *testing.T, url, capabilities, more string) (status int, body string) {
	t.Helper()
	meta := strings.Replace(modernMeta, `clientCapabilities":{}`, `clientCapabilities":`+capabilities, 1)
	r := &raw{t: t, url: url}
	res, text := r.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"page",`+meta+more+`}}`, modernHeaders("tools/call", "page"))
	return res.StatusCode, message(res, text)
}

func TestCorner5_14_PagesToVisitInAllRevisions(t *testing.T) {
	t.Parallel()
	const canVisit = `{"elicitation":{"url":{}}}`
	t.Run("a modern client visits", func(t *testing.T) {
		t.Parallel()
		url, _ := visiting(t, 4)
		_, body := modernCall(t, url, canVisit, "")
		var first struct {
			Result struct {
				State    json.RawMessage `json:"requestState"`
				Requests map[string]any  `json:"inputRequests"`
			} `json:"result"`
		}
		if err := json.Unmarshal([]byte(body), &first); err != nil || first.Result.Requests["e1"] == nil {
			t.Fatalf("%v: %s", err, body)
		}
		more := `,"inputResponses":{"e1":{"action":"accept"}},"requestState":` + string(first.Result.State)
		if _, body := modernCall(t, url, canVisit, more); !strings.Contains(body, `"resultType":"complete"`) {
			t.Errorf("after the visit: %s", body)
		}
	})
	t.Run("a modern client cannot", func(t *testing.T) {
		t.Parallel()
		url, _ := visiting(t, 4)
		status, body := modernCall(t, url, `{"elicitation":{}}`, "")
		if status != http.StatusBadRequest || !strings.Contains(body, `"code":-32021`) || !strings.Contains(body, `{"requiredCapabilities":{"elicitation":{"url":{}}}}`) {
			t.Errorf("%d %s", status, body)
		}
	})
	t.Run("an older client", func(t *testing.T) {
		t.Parallel()
		url, _ := visiting(t, 4)
		r := &raw{t: t, url: url}
		res, _ := r.post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`, nil)
		r.session = res.Header.Get("Mcp-Session-Id")
		res, body := r.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"page"}}`, map[string]string{"MCP-Protocol-Version": "2025-06-18"})
		if got := message(res, body); !strings.Contains(got, `"isError":true`) || strings.Contains(got, "secret") || !strings.Contains(got, "2025-11-25") {
			t.Errorf("%s", got)
		}
	})
	t.Run("a legacy client visits", func(t *testing.T) {
		t.Parallel()
		url, upstream := visiting(t, 2)
		client := legacy(t, url, canVisit)
		res, body := client.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"page"}}`, nil)
		if got := message(res, body); !strings.Contains(got, `"code":-32042`) || !strings.Contains(got, "https://x.example/secret") {
			t.Errorf("%s", got)
		}
		hearsOf(t, client, "notifications/elicitation/complete", func() {
			upstream.Notify("notifications/elicitation/complete", []byte(`{"elicitationId":"e1"}`))
		})
	})
}

// hearsOf waits until a session's stream has a notification, which say makes the server
// send. It is sent again and again, because the server's own stream may open late.
func hearsOf(t *testing.T, client *raw, method string, say func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, client.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Mcp-Session-Id", client.session)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	heard := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() {
			if strings.Contains(lines.Text(), method) {
				heard <- true
				return
			}
		}
		heard <- false
	}()
	for {
		say()
		select {
		case ok := <-heard:
			if !ok {
				t.Errorf("nothing was heard of %s", method)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
