package e2e

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake/engine"
)

const endlessInvoke = `{"id":1,"method":"invoke","params":{"model":"sim","prompt":"x","stream":true,"max_tokens":5000,"ignore_eos":true}}`

// inferLines posts a message and returns the lines of its answer.
func inferLines(t *testing.T, g *gateway.Gateway, message string) *bufio.Reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint(g, "/rpc"), strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return bufio.NewReader(resp.Body)
}

// lastLine reads a stream to its end, which must be one of HTTP too, and returns the last line of it.
func lastLine(t *testing.T, in *bufio.Reader) (last string) {
	t.Helper()
	for {
		line, err := in.ReadString('\n')
		switch {
		case errors.Is(err, io.EOF) && line == "":
			return last
		case err != nil:
			t.Fatalf("after %q: %q %v", last, line, err)
		}
		last = line
	}
}

// TestInferShutdown ends what is in flight when the gateway stops in a way that clients understand: streams that never end
// have an error that says to come back, and those that only stand open are done.
func TestInferShutdown(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{TokenRate: 100})
	g := startForStop(t, "{grace: 0s, drain: 1s}", "\nmodels:\n  sim: {backends: [{kind: openai, url: \""+e.URL+"/v1\"}]}\n")
	over := inferLines(t, g, endlessInvoke)
	logs := inferLines(t, g, `{"id":2,"method":"logs"}`)
	socket, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(endpoint(g, "/rpc"), "http"), nil)
	if err != nil {
		t.Fatalf("%v %v", err, resp)
	}
	defer socket.Close()
	defer resp.Body.Close()
	for _, message := range []string{strings.Replace(endlessInvoke, `"id":1`, `"id":3`, 1), `{"id":4,"method":"logs"}`} {
		if err := socket.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	if line, err := over.ReadString('\n'); err != nil || !strings.Contains(line, `"chunk"`) {
		t.Fatalf("%q %v", line, err)
	}
	if _, text, err := socket.ReadMessage(); err != nil {
		t.Fatalf("%q %v", text, err)
	}
	stopped := stopping(t, g)
	if got := lastLine(t, logs); got != `{"id":2,"done":true}`+"\n" {
		t.Errorf("logs end with %s", got)
	}
	if got := lastLine(t, over); !strings.Contains(got, `{"id":1,"error":{"code":-32005`) || !strings.Contains(got, `"retry_after_ms"`) {
		t.Errorf("a stream ends with %s", got)
	}
	var ends []string
	for {
		_, text, err := socket.ReadMessage()
		if err != nil {
			if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
				t.Errorf("the socket ends with %v", err)
			}
			break
		}
		if !strings.Contains(string(text), `"result"`) {
			ends = append(ends, string(text))
		}
	}
	if len(ends) != 2 || ends[0] != `{"id":4,"done":true}` || !strings.Contains(ends[1], `{"id":3,"error":{"code":-32005`) {
		t.Errorf("on the socket the streams end with %q", ends)
	}
	if err := <-stopped; err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("stop: %v", err)
	}
}
