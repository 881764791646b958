package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake/engine"
)

// asker sends messages of the inference dialect to a gateway over HTTP, as one client.
type asker struct {
	t       testing.TB
	url     string
	token   string // empty for none
	session string // empty for none
}

func askerOf(t testing.TB, g *gateway.Gateway) *asker { return &asker{t: t, url: endpoint(g, "/rpc")} }

// told is an answer: all of its objects.
type told struct {
	status  int
	header  http.Header
	objects []part
	text    string
}

// part is an object of an answer.
type part struct {
	ID     json.RawMessage
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
		Data    map[string]any
	}
	Done bool
}

// send posts a body as it is.
func (a *asker) send(body string, header ...string) told {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if a.session != "" {
		req.Header.Set("Mcp-Session-Id", a.session)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatalf("%.200s: %v", body, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatalf("%.200s: %v", body, err)
	}
	out := told{status: resp.StatusCode, header: resp.Header, text: string(text)}
	for line := range bytes.Lines(text) {
		var p part
		if err := json.Unmarshal(line, &p); err != nil {
			a.t.Fatalf("%s: %q: %v", body, line, err)
		}
		out.objects = append(out.objects, p)
	}
	return out
}

// ask sends a request and decodes the result of an answer that is one object.
func (a *asker) ask(method string, params map[string]any, result any) told {
	a.t.Helper()
	text, err := json.Marshal(map[string]any{"id": 1, "method": method, "params": params})
	if err != nil {
		a.t.Fatal(err)
	}
	out := a.send(string(text))
	if out.status != http.StatusOK || len(out.objects) != 1 || out.objects[0].Error != nil {
		a.t.Fatalf("%s: %d %s", text, out.status, out.text)
	}
	if result == nil {
		return out
	}
	if err := json.Unmarshal(out.objects[0].Result, result); err != nil {
		a.t.Fatalf("%s: %s: %v", text, out.text, err)
	}
	return out
}

// open begins a session.
func (a *asker) open(wishes map[string]any) {
	a.t.Helper()
	a.session = a.ask("initialize", map[string]any{"session": wishes}, nil).header.Get("Mcp-Session-Id")
	if a.session == "" {
		a.t.Fatal("initialize opened no session")
	}
}

// bodies are what an engine was asked at a path, in order.
func bodies(t testing.TB, e *engine.Engine, path string) (out []map[string]any) {
	t.Helper()
	for _, r := range e.Ledger() {
		if r.Path != path || warmedUp(r) {
			continue
		}
		var body map[string]any
		if err := json.Unmarshal(r.Body, &body); err != nil {
			t.Fatal(err)
		}
		out = append(out, body)
	}
	return out
}
