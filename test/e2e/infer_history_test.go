package e2e

import (
	"bytes"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/test/fake/engine"
)

// warmedUp reports whether the gateway itself has sent a request, to find out whether the model is loaded.
func warmedUp(r engine.Record) bool {
	return bytes.Contains(r.Body, []byte(`"content":"hi"`)) || bytes.Contains(r.Body, []byte(`"prompt":"hi"`))
}

// chats are what an engine was told in conversations, as one text each.
func chats(t *testing.T, e *engine.Engine) (out []string) {
	t.Helper()
	for _, body := range bodies(t, e, "/v1/chat/completions") {
		var said []string
		messages, _ := body["messages"].([]any)
		for _, m := range messages {
			m, _ := m.(map[string]any)
			said = append(said, fmt.Sprintf("%v: %v", m["role"], m["content"]))
		}
		out = append(out, strings.Join(said, "\n"))
	}
	return out
}

// answering has an engine answer each prompt with one word.
func answering(word string) engine.Config {
	return engine.Config{
		Models: []string{"m", "n"}, Record: true, Length: func(*engine.Request) int { return 1 }, Token: func(*engine.Request, int) string { return word },
	}
}

func TestInferHistoryGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, answering("yes"))
	yaml := fmt.Sprintf("models:\n  m: {aliases: [default], backends: [{kind: openai, url: %q}]}\n  n: {backends: [{kind: openai, url: %q}]}\n", e.URL+"/v1", e.URL+"/v1")
	data := filepath.Join(t.TempDir(), "data")
	var session string
	t.Run("before", func(t *testing.T) {
		a := askerOf(t, startGatewayAt(t, data, yaml, slog.NewTextHandler(logTo{t}, nil)))
		a.open(map[string]any{"history": true})
		session = a.session
		a.ask("invoke", map[string]any{"model": "m", "prompt": "one"}, nil)
		a.ask("invoke", map[string]any{"model": "n", "prompt": "else"}, nil)
		if got := a.send(`{"id":2,"method":"invoke","params":{"model":"default","prompt":"two","stream":true}}`); len(got.objects) < 3 || !got.objects[len(got.objects)-1].Done {
			t.Fatalf("the stream is %s", got.text)
		}
	})
	a := askerOf(t, startGatewayAt(t, data, yaml, slog.NewTextHandler(logTo{t}, nil)))
	a.session = session
	a.ask("invoke", map[string]any{"model": "m", "prompt": "three"}, nil)
	want := []string{
		"user: one", "user: else",
		"user: one\nassistant: yes\nuser: two",
		"user: one\nassistant: yes\nuser: two\nassistant: yes\nuser: three",
	}
	if diff := cmp.Diff(want, chats(t, e.Engine)); diff != "" {
		t.Errorf("what the engine was told (-want +got):\n%s", diff)
	}
	var status struct {
		Session struct {
			Usage     struct{ Input_tokens, Output_tokens int64 } //nolint:revive // as on the wire
			Turns     int                                         `json:"history_turns"`
			ExpiresAt time.Time                                   `json:"expires_at"`
		}
	}
	a.ask("status", nil, &status)
	var input, output int64
	for _, r := range e.Ledger() {
		if !warmedUp(r) {
			input, output = input+r.Input, output+r.Output
		}
	}
	s := status.Session
	if s.Turns != 4 || s.Usage.Input_tokens != input || s.Usage.Output_tokens != output || time.Until(s.ExpiresAt).Round(time.Hour/2) != time.Hour/2 {
		t.Errorf("the session stands at %+v, the engine counted %d and %d", s, input, output)
	}
}

func TestInferHistoryIsItsOwners(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, answering("yes"))
	g := startGateway(t, fmt.Sprintf(`models: {m: {backends: [{kind: openai, url: %q}]}}
auth:
  keys:
    - {id: ann, key: annannannannannannannann, org: acme, scopes: ["infer:*"]}
    - {id: bob, key: bobbobbobbobbobbobbobbob, org: acme, scopes: ["infer:*"]}
`, e.URL+"/v1"))
	ann, bob := askerOf(t, g), askerOf(t, g)
	ann.token, bob.token = "annannannannannannannann", "bobbobbobbobbobbobbobbob"
	ann.open(map[string]any{"history": true})
	ann.ask("invoke", map[string]any{"model": "m", "prompt": "one"}, nil)
	var texts []string
	for _, session := range []string{ann.session, ann.session[:len(ann.session)-2] + "xx", "nonsense"} {
		bob.session = session
		got := bob.send(`{"id":1,"method":"invoke","params":{"model":"m","prompt":"two"}}`)
		if got.status != 400 || got.objects[0].Error.Code != -32600 {
			t.Errorf("%d %s", got.status, got.text)
		}
		delete(got.objects[0].Error.Data, "request_id")
		texts = append(texts, fmt.Sprint(got.objects[0].Error))
	}
	if texts[0] != texts[1] || texts[1] != texts[2] {
		t.Errorf("somebody else's session is told from one that never was:\n%s", strings.Join(texts, "\n"))
	}
	if diff := cmp.Diff([]string{"user: one"}, chats(t, e.Engine)); diff != "" {
		t.Errorf("what the engine was told (-want +got):\n%s", diff)
	}
}

func TestInferContextOfABackend(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, answering("yes"))
	g := startGateway(t, fmt.Sprintf("models: {m: {backends: [{kind: ollama, url: %q}]}}\n", e.URL))
	a := askerOf(t, g)
	a.open(map[string]any{"history": true})
	a.ask("invoke", map[string]any{"model": "m", "prompt": "one"}, nil)
	a.ask("invoke", map[string]any{"model": "m", "prompt": "two"}, nil)
	got := bodies(t, e.Engine, "/api/generate")
	if len(got) != 2 || got[0]["context"] != nil || got[1]["prompt"] != "two" || got[1]["context"] == nil {
		t.Errorf("the engine was asked %v", got)
	}
	if other := bodies(t, e.Engine, "/api/chat"); len(other) != 0 {
		t.Errorf("the engine was asked %v too", other)
	}
}

func TestInferInvokesAtOnceLoseNoTurns(t *testing.T) {
	t.Parallel()
	const crowd = 10
	e := engine.Start(t, answering("yes"))
	g := startGateway(t, fmt.Sprintf("models: {m: {backends: [{kind: openai, url: %q}]}}\n", e.URL+"/v1"))
	a := askerOf(t, g)
	a.open(map[string]any{"history": true})
	var all sync.WaitGroup
	for i := range crowd {
		all.Go(func() {
			got := a.send(fmt.Sprintf(`{"id":%d,"method":"invoke","params":{"model":"m","prompt":"p%d","stream":%t}}`, i, i, i%2 == 0))
			if last := got.objects[len(got.objects)-1]; last.Error != nil {
				t.Errorf("%s", got.text)
			}
		})
	}
	all.Wait()
	a.ask("invoke", map[string]any{"model": "m", "prompt": "last"}, nil)
	all2 := chats(t, e.Engine)
	last := all2[len(all2)-1]
	for i := range crowd {
		if turn := fmt.Sprintf("user: p%d\nassistant: yes\n", i); !strings.Contains(last, turn) {
			t.Errorf("%q is not in\n%s", turn, last)
		}
	}
}

func TestInferSessionEndsWhenItsClientWants(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, answering("yes"))
	g := startGateway(t, fmt.Sprintf("models: {m: {backends: [{kind: openai, url: %q}]}}\n", e.URL+"/v1"))
	for _, history := range []bool{true, false} {
		t.Run(fmt.Sprintf("history %t", history), func(t *testing.T) {
			t.Parallel()
			a := askerOf(t, g)
			a.open(map[string]any{"history": history, "ttl": 0.001})
			for {
				got := a.send(`{"id":1,"method":"ping"}`)
				if got.status == 400 && got.objects[0].Error.Code == -32600 {
					break
				}
				if got.status != 200 {
					t.Fatalf("%d %s", got.status, got.text)
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
}

// The cache and the budgets see what is sent, with all that was said before: the same words in another conversation are something else,
// and cost more.
func TestInferHistoryIsSeenByPolicies(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, answering("yes"))
	g := startGateway(t, fmt.Sprintf(`models: {m: {warm_up: {at: never}, backends: [{kind: openai, url: %q}]}}
cache: {models: {allow: [m], ttl: 10m, max_temperature: 2}}
limits: [{name: day, scope: ip, unit: tokens, model: m, limit: 3000, per: day}]
`, e.URL+"/v1"))
	a := askerOf(t, g)
	invoke := map[string]any{"model": "m", "prompt": "again", "max_tokens": 10}
	for range 2 {
		a.ask("invoke", invoke, nil) // once and for all
	}
	a.open(map[string]any{"history": true})
	a.ask("invoke", invoke, nil) // nothing was said before: it is the same
	a.ask("invoke", invoke, nil)
	want := []string{"user: again", "user: again\nassistant: yes\nuser: again"}
	if diff := cmp.Diff(want, chats(t, e.Engine)); diff != "" {
		t.Errorf("what the engine was told (-want +got):\n%s", diff)
	}
	long := map[string]any{"model": "m", "prompt": strings.Repeat("word ", 1000), "max_tokens": 10} // 1,250 tokens or so
	a.ask("invoke", long, nil)
	if got := a.send(`{"id":1,"method":"invoke","params":{"model":"m","prompt":"` + strings.Repeat("more ", 800) + `","max_tokens":10}}`); got.status != 429 {
		t.Errorf("a call that costs 2,250 tokens of the 1,600 that are left is answered with %d %s", got.status, got.text)
	}
}

// A socket whose session has ended is told so, and can begin another one.
func TestInferSocketBeginsAnew(t *testing.T) {
	t.Parallel()
	g := schemaGateway(t)
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(endpoint(g, "/rpc"), "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer conn.Close()
	say := func(text string) (p part) {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := conn.ReadJSON(&p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	const open = `{"id":1,"method":"initialize","params":{"session":{"history":true,"ttl":0.001}}}`
	first := say(open)
	for say(`{"id":1,"method":"ping"}`).Error == nil {
		time.Sleep(2 * time.Millisecond)
	}
	second := say(strings.Replace(open, "0.001", "60", 1))
	if first.Error != nil || second.Error != nil || string(first.Result) == string(second.Result) {
		t.Fatalf("it begins with %+v and then %+v", first, second)
	}
	if p := say(`{"id":1,"method":"invoke","params":{"model":"sim","prompt":"p"}}`); p.Error != nil {
		t.Errorf("an invoke is answered with %+v", p.Error)
	}
}
