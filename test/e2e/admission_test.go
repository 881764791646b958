package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/test/fake"
)

// oneAtATime is an upstream that is sent one call at a time, while so many may wait.
func oneAtATime(url string, queue int) string {
	return fmt.Sprintf("  asker: {url: %q, max_in_flight: 1, queue: {size: %d}}\n", url, queue)
}

// A call that is parked between two requests of its client keeps its place at the upstream; others are told that there is none, and
// when to come again. When it has ended its place is free.
func TestParkedCallsKeepTheirPlaceAtTheUpstream(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "upstreams:\n"+oneAtATime(askingServer(t, false), 0))
	url := endpoint(g, "/mcp")
	meta := strings.Replace(modernMeta, `"io.modelcontextprotocol/clientCapabilities":{}`, `"io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"roots":{},"sampling":{}}`, 1)
	r := &raw{t: t, url: url}
	ask := func(more string) (*http.Response, string) {
		res, body := r.post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"asker__greet","arguments":{},`+meta+more+`}}`, modernHeaders("tools/call", "asker__greet"))
		return res, message(res, body)
	}
	states := regexp.MustCompile(`"requestState":("[^"]+")`)
	res, parked := ask("")
	state := states.FindStringSubmatch(parked)
	if res.StatusCode != http.StatusOK || len(state) == 0 {
		t.Fatalf("%s: %s", res.Status, parked)
	}
	if q := g.Queues()[0]; q.InFlight != 1 || q.Limit != 1 || q.Waiting != 0 {
		t.Errorf("while a call is parked: %+v", q)
	}
	res, text := ask("")
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("a second call while one is parked: %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
	}
	for _, want := range []string{`"code":116`, `"reason":"overloaded"`, `"retryable":true`, `"shed":"queue_full"`, `"upstream":"asker"`, `"retryAfterMs":`} {
		if !strings.Contains(text, want) {
			t.Errorf("the refusal lacks %s: %s", want, text)
		}
	}
	for range 5 { // going on needs no other place
		answers := `"q1":{"action":"accept","content":{"name":"eve"}},"q2":{"roots":[{"uri":"file:///x","name":"r"}]},"q3":{"role":"assistant","model":"m","content":{"type":"text","text":"x"}}`
		if res, text = ask(`,"requestState":` + state[1] + `,"inputResponses":{` + answers + `}`); res.StatusCode != http.StatusOK {
			t.Fatalf("going on: %s: %s", res.Status, text)
		}
		if state = states.FindStringSubmatch(text); len(state) == 0 {
			break
		}
	}
	for deadline := time.Now().Add(20 * time.Second); g.Queues()[0].InFlight != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after the call: %+v, %s", g.Queues()[0], text)
		}
	}
}

// A legacy client's call of a modern server is made again for each round of questions, and does not wait for its own place.
func TestCallsOfSeveralRoundsDoNotWaitForThemselves(t *testing.T) {
	t.Parallel()
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		g := startGateway(t, "upstreams:\n"+oneAtATime(askingServer(t, true), 4))
		s := askedClient(t, endpoint(g, "/mcp"), revision, "ada")
		for range 2 {
			got, err := s.CallTool(t.Context(), &gosdk.CallToolParams{Name: "asker__greet"})
			if err != nil || !strings.Contains(jsonOf(t, got), "name=ada") {
				t.Fatalf("%s: %s, %v", revision, jsonOf(t, got), err)
			}
		}
		if q := g.Queues()[0]; q.InFlight != 0 || q.Waiting != 0 {
			t.Errorf("%s: %+v", revision, q)
		}
	}
}

// A call that waits for a place is given up as one that runs: a modern client leaves, a legacy one cancels. It never reaches the server.
func TestCallsThatWaitCanBeGivenUp(t *testing.T) {
	t.Parallel()
	section, key := bearers(bearer{id: "young"}, bearer{id: "old"})
	g := startGateway(t, section+"upstreams:\n"+strings.Replace(stdioUpstream("child", stdioServer(t)), "}\n", ", max_in_flight: 1}\n", 1))
	young, old := modernKey(t, g, key["young"]), legacyKey(t, g, key["old"])
	waiting := func(want int, when string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); g.Queues()[0].Waiting != want; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %+v", when, g.Queues()[0])
			}
		}
	}
	running, end := context.WithCancel(t.Context())
	young.hung(running)

	begin := func(ctx context.Context, c keyholder) (over chan string) {
		over = make(chan string, 1)
		body, headers := c.request(2, "child__pid", `{}`)
		go func() {
			res, err := c.send(ctx, body, headers)
			if err != nil {
				over <- err.Error()
				return
			}
			defer func() { _ = res.Body.Close() }()
			text, _ := io.ReadAll(res.Body) // a call that is given up may break off
			over <- string(text)
		}()
		return over
	}

	ctx, leave := context.WithCancel(t.Context())
	first := begin(ctx, young)
	waiting(1, "a modern client's call")
	leave()
	<-first
	waiting(0, "after the client has left")

	second := begin(t.Context(), old)
	waiting(1, "a legacy client's call")
	old.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`, nil)
	waiting(0, "after it was cancelled")
	if text := <-second; strings.Contains(text, `"result"`) {
		t.Errorf("a call that was cancelled is answered: %s", text)
	}

	third := begin(t.Context(), old)
	waiting(1, "a call that is not given up")
	end() // the place is free
	if text := <-third; !strings.Contains(text, `"result"`) {
		t.Errorf("it got %s", text)
	}
	waiting(0, "in the end")
}

// Where memory is short everybody is told so, and nobody hears of it where it is not.
func TestWithoutMemoryCallsAreRefused(t *testing.T) {
	t.Parallel()
	for memory, want := range map[string]int{"1MiB": http.StatusServiceUnavailable, "1024GiB": http.StatusOK} {
		_, url := fakeUpstream(t, fake.Config{})
		g := startGateway(t, "overload: {memory: "+memory+"}\nupstreams:\n"+httpUpstream("fine", url))
		r := &raw{t: t, url: endpoint(g, "/mcp")}
		res, body := r.post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"fine__echo","arguments":{},`+modernMeta+`}}`, modernHeaders("tools/call", "fine__echo"))
		text := message(res, body)
		if res.StatusCode != want || want != http.StatusOK && (!strings.Contains(text, `"shed":"memory"`) || res.Header.Get("Retry-After") == "") {
			t.Errorf("with %s: %s: %s", memory, res.Status, text)
		}
		if s := g.Memory(); s.Limit == 0 || (s.Refused > 0) != (want != http.StatusOK) {
			t.Errorf("with %s: %+v", memory, s)
		}
	}
}
