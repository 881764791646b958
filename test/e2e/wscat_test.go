package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/test/fake"
	"github.com/headgate/headgate/test/peer"
)

// typist is a person with wscat.
type typist struct {
	t   *testing.T
	cat *peer.Terminal
}

// wscat connects to an endpoint's WebSocket. What is typed before it has connected is
// lost, so that a question is typed until there is an answer.
func wscat(t *testing.T, url string) *typist {
	t.Helper()
	return typing(t, peer.Wscat(t, "ws"+strings.TrimPrefix(url, "http"), "--subprotocol", "mcp"),
		`{"jsonrpc":"2.0","id":"connected?","method":"server/discover","params":{`+modernMeta+`}}`, "supportedVersions")
}

// typing types a question until it is answered, with the id "connected?".
func typing(t *testing.T, cat *peer.Terminal, question, answered string) *typist {
	t.Helper()
	w := &typist{t, cat}
	connected := make(chan struct{})
	typed := make(chan struct{})
	go func() {
		defer close(typed)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			_ = w.cat.Type(question)
			select {
			case <-connected:
				return
			case <-tick.C:
			}
		}
	}()
	if answer := w.read(); !strings.Contains(answer, answered) {
		t.Errorf("%s: %s", question, answer)
	}
	close(connected)
	<-typed
	return w
}

func (w *typist) say(line string) {
	w.t.Helper()
	if err := w.cat.Type(line); err != nil {
		w.t.Fatal(err)
	}
}

func (w *typist) read() string {
	w.t.Helper()
	line, err := w.cat.Read()
	if err != nil {
		w.t.Fatalf("wscat: %v", err)
	}
	return line
}

// hear reads what comes next, but for answers to the first question.
func (w *typist) hear(wants ...string) {
	w.t.Helper()
	line := w.read()
	for strings.Contains(line, `"connected?"`) {
		line = w.read()
	}
	for _, want := range wants {
		if !strings.Contains(line, want) {
			w.t.Fatalf("heard %s, want %s", line, want)
		}
	}
}

// reporting is a tool that tells of progress and then waits to be cancelled.
func reporting() (tool fake.Tool, cancelled chan string) {
	cancelled = make(chan string, 1)
	return fake.Tool{Name: "report", Behaviour: fake.Progressing(2, time.Millisecond, func(ctx context.Context, c *fake.Call) ([]byte, error) {
		<-ctx.Done()
		cancelled <- string(c.ID)
		return nil, ctx.Err()
	})}, cancelled
}

// A person with wscat drives a session, and requests of the modern era beside it.
func TestWscat(t *testing.T) {
	t.Parallel()
	tool, cancelled := reporting()
	g := behindOneGateway(t, tool)
	w := wscat(t, endpoint(g, "/mcp"))
	w.say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"wscat","version":"6"}}}`)
	w.hear(`"id":1`, `"protocolVersion":"2025-11-25"`)
	w.say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	w.say(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
	w.hear(`"id":2`, `"legacy__report"`, `"modern__report"`)
	for _, upstream := range []string{"legacy", "modern"} {
		w.say(`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"` + upstream + `__report","_meta":{"progressToken":"typed"}}}`)
		w.hear(`"notifications/progress"`, `"typed"`)
		w.hear(`"notifications/progress"`, `"typed"`)
		w.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}`)
		<-cancelled

		meta := strings.Replace(modernMeta, `{`, `{"progressToken":7,`, 1)
		w.say(`{"jsonrpc":"2.0","id":"m","method":"tools/call","params":{"name":"` + upstream + `__report",` + meta + `}}`)
		w.hear(`"notifications/progress"`, `"progressToken":7`)
		w.hear(`"notifications/progress"`, `"progressToken":7`)
		w.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"m"}}`)
		<-cancelled
	}
	w.say(`{"jsonrpc":"2.0","id":4,"method":"ping"}`)
	w.hear(`"id":4`, `"result":{}`)
	w.cat.Close()
}
