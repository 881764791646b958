package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake/engine"
)

// modelAt is a model of the configuration whose backends are engines.
func modelAt(name, more string, backends ...*engine.Server) string {
	out := "  " + name + ":\n" + more + "    backends:\n"
	for _, b := range backends {
		out += fmt.Sprintf("      - {kind: openai, url: %q, max_in_flight: 1}\n", b.URL+"/v1")
	}
	return out
}

// streaming begins a streamed invoke whose answer never ends by itself, and returns when its first chunk is there. The rest is read by the
// function that it returns, which gives all lines that followed.
func streaming(t *testing.T, url, model string, tokens int) (rest func() []string) {
	t.Helper()
	body := fmt.Sprintf(`{"id":1,"method":"invoke","params":{"model":%q,"prompt":"x","stream":true,"max_tokens":%d}}`, model, tokens)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || !strings.Contains(lines.Text(), `"chunk"`) {
		t.Fatalf("%d: it began with %q", resp.StatusCode, lines.Text())
	}
	return func() (all []string) {
		for lines.Scan() {
			all = append(all, lines.Text())
		}
		return all
	}
}

// modelStanding is what status says of a model.
type modelStanding struct {
	Name          string
	Available     bool
	QueueDepth    int `json:"queue_depth"`
	QueuePosition int `json:"queue_position"`
	InFlight      int `json:"in_flight"`
	Backends      struct{ Healthy, Total int }
}

// standingOf asks for the status of the models.
func standingOf(a *asker) []modelStanding {
	var out struct{ Models []modelStanding }
	a.ask("status", nil, &out)
	return out.Models
}

// Models come and go with a reload, and so do their backends. What streams goes on to its end, at whatever it began with.
func TestModels_Reload(t *testing.T) {
	t.Parallel()
	slow := engine.Config{TokenRate: 50, Length: func(*engine.Request) int { return 60 }}
	first, second := engine.Start(t, slow), engine.Start(t, engine.Config{Record: true})
	g := startReloadable(t, "models:\n"+modelAt("sim", "", first))
	a := askerOf(t, g.Gateway)
	invoke := func(model string) told {
		return a.send(fmt.Sprintf(`{"id":1,"method":"invoke","params":{"model":%q,"prompt":"x","max_tokens":2}}`, model))
	}
	whole := func(what string, rest func() []string) {
		t.Helper()
		lines := rest()
		if len(lines) != 61 || !strings.Contains(lines[60], `"done":true`) {
			t.Errorf("%s: %d lines followed, the last was %s", what, len(lines), lines[max(0, len(lines)-1):])
		}
	}
	rest := streaming(t, endpoint(g.Gateway, "/rpc"), "sim", 60)
	out := g.reload("models:\n" + modelAt("sim", "", second))
	if len(out.Changes) == 0 || !slices.Contains(out.Sections(), "models") {
		t.Errorf("the reload changed %v", out.Changes)
	}
	if answer := invoke("sim"); answer.status != http.StatusOK || len(bodiesOf(second)) != 1 {
		t.Errorf("another backend: %d %s", answer.status, answer.text)
	}
	whole("its backend has gone", rest)

	g.reload("models:\n" + modelAt("sim", "", first))
	rest = streaming(t, endpoint(g.Gateway, "/rpc"), "sim", 60)
	g.reload("models:\n" + modelAt("other", "    aliases: [sim2]\n", second))
	if answer := invoke("sim"); answer.status != http.StatusBadRequest || answer.objects[0].Error.Code != -32602 {
		t.Errorf("a model that has gone: %d %s", answer.status, answer.text)
	}
	whole("its model has gone", rest)

	if answer := invoke("sim2"); answer.status < 500 {
		t.Errorf("a model that the backend does not have: %d %s", answer.status, answer.text)
	}
}

// bodiesOf are the invocations that an engine has served, warm-ups not among them.
func bodiesOf(e *engine.Server) []engine.Record {
	return slices.DeleteFunc(e.Ledger(), warmedUp)
}

// A client learns how many calls wait, and of its own which place the next one has.
func TestModels_PlaceInTheQueue(t *testing.T) {
	t.Parallel()
	sim := engine.Start(t, engine.Config{})
	g := startGateway(t, `auth:
  keys:
    - {id: ann, key: key-of-ann-0123456789, org: acme, scopes: ["infer:*"]}
    - {id: bob, key: key-of-bob-0123456789, org: other, scopes: ["infer:*"]}
models:
`+modelAt("sim", "", sim))
	ann, bob := askerOf(t, g), askerOf(t, g)
	ann.token, bob.token = "key-of-ann-0123456789", "key-of-bob-0123456789"
	ann.ask("invoke", map[string]any{"model": "sim", "prompt": "x", "max_tokens": 1}, nil) // so that it is loaded
	sim.Fail(engine.Fault{Kind: engine.Stall, Times: 3})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	begin := func(who *asker, waiting int) {
		go func() {
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, who.url, strings.NewReader(`{"id":7,"method":"invoke","params":{"model":"sim","prompt":"x"}}`))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+who.token)
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}()
		eventually(t, "a call that waits or runs", func() bool { m := standingOf(who)[0]; return m.InFlight == 1 && m.QueueDepth == waiting })
	}
	begin(ann, 0)
	begin(bob, 1)
	begin(ann, 2)
	if m := standingOf(ann)[0]; m.QueuePosition != 2 || !m.Available || m.Backends.Healthy != 1 {
		t.Errorf("ann is told %+v", m)
	}
	if m := standingOf(bob)[0]; m.QueuePosition != 2 && m.QueuePosition != 1 {
		t.Errorf("bob is told %+v", m)
	}
	carl := askerOf(t, g)
	carl.token = bob.token
	leave()
	eventually(t, "an empty queue", func() bool {
		m := standingOf(carl)[0]
		return m.QueueDepth == 0 && m.QueuePosition == 0 && m.InFlight == 0
	})
}

// A model that takes too long is a gateway time-out that says which deadline has passed: before the answer began by status, later in the stream.
func TestModels_Deadlines(t *testing.T) {
	t.Parallel()
	sim := engine.Start(t, engine.Config{Models: []string{"sim", "brief"}})
	g := startGateway(t, "models:\n"+modelAt("sim", "    deadlines: {first_token: 300ms, between_tokens: 300ms, total: 20s}\n    warm_up: {at: never}\n", sim)+
		modelAt("brief", "    deadlines: {first_token: 200ms, between_tokens: 200ms, total: 200ms}\n    warm_up: {at: never}\n", sim))
	a := askerOf(t, g)
	for _, tt := range []struct {
		model    string
		stream   bool
		after    int
		deadline string
		status   int
	}{
		{"sim", true, 0, "first_token", http.StatusGatewayTimeout},
		{"sim", true, 2, "between_tokens", http.StatusOK},
		{"brief", false, 0, "total", http.StatusGatewayTimeout},
	} {
		sim.Heal()
		sim.Fail(engine.Fault{Kind: engine.Stall, After: tt.after})
		answer := a.send(fmt.Sprintf(`{"id":1,"method":"invoke","params":{"model":%q,"prompt":"x","stream":%v,"max_tokens":9}}`, tt.model, tt.stream))
		last := answer.objects[len(answer.objects)-1]
		if answer.status != tt.status || len(answer.objects) != tt.after+1 || last.Error == nil || last.Error.Code != -32008 ||
			last.Error.Data["reason"] != "deadline_exceeded" || last.Error.Data["deadline"] != tt.deadline || last.Error.Data["request_id"] == nil {
			t.Errorf("%s after %d chunks: %d %s", tt.deadline, tt.after, answer.status, answer.text)
		}
	}
}

// An engine that is gone is no healthy backend, and one again when it is back.
func TestModels_AnEngineThatIsAway(t *testing.T) {
	t.Parallel()
	sim := engine.Start(t, engine.Config{})
	g := startGateway(t, "models:\n"+modelAt("sim", "", sim))
	a := askerOf(t, g)
	const call = `{"id":1,"method":"invoke","params":{"model":"sim","prompt":"x","max_tokens":2}}`
	if answer := a.send(call); answer.status != http.StatusOK {
		t.Fatalf("%d %s", answer.status, answer.text)
	}
	sim.Kill()
	eventually(t, "a refusal", func() bool {
		answer := a.send(call)
		return answer.status == http.StatusServiceUnavailable && answer.objects[0].Error.Code == -32006 && answer.header.Get("Retry-After") != "" &&
			!standingOf(a)[0].Available
	})
	var shown admin.Part[admin.Model]
	if operator(t, g, http.MethodGet, "/api/v1/models", &shown); len(shown.Items) != 1 || shown.Items[0].State != gateway.Down || shown.Items[0].Backends[0].State != "down" {
		t.Errorf("operators see %+v", shown.Items)
	}
	if err := sim.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an answer", func() bool { return a.send(call).status == http.StatusOK && standingOf(a)[0].Available })
}

// Rules send calls for a model elsewhere, by who calls and by what the client calls the model, and have another one stand in.
func TestModels_Routes(t *testing.T) {
	t.Parallel()
	big, small := engine.Start(t, engine.Config{Models: []string{"big"}, Record: true}), engine.Start(t, engine.Config{Models: []string{"small-1b", "small-2b", "small-3b"}, Record: true})
	g := startGateway(t, `auth:
  keys:
    - {id: ann, key: key-of-ann-0123456789, org: acme, scopes: ["infer:*"]}
    - {id: canary, key: key-of-bob-0123456789, org: acme, scopes: ["infer:*"]}
routes:
  - {match: {method: invoke, model: default, key: canary}, to: small-1b}
  - {match: {model: big}, fallback: [small-2b]}
models:
`+modelAt("big", "    aliases: [default]\n", big)+modelAt("small-*", "", small))
	ann, canary := askerOf(t, g), askerOf(t, g)
	ann.token, canary.token = "key-of-ann-0123456789", "key-of-bob-0123456789"
	served := func() (a, b int) { return len(bodiesOf(big)), len(bodiesOf(small)) }
	for _, tt := range []struct {
		who   *asker
		model string
		big   int
		small int
	}{{ann, "default", 1, 0}, {canary, "default", 0, 1}, {canary, "big", 1, 0}, {canary, "small-3b", 0, 1}} {
		a0, b0 := served()
		answer := tt.who.send(fmt.Sprintf(`{"id":1,"method":"invoke","params":{"model":%q,"prompt":"x","max_tokens":2}}`, tt.model))
		a1, b1 := served()
		if answer.status != http.StatusOK || a1-a0 != tt.big || b1-b0 != tt.small {
			t.Errorf("%s: %d and %d calls; %d %s", tt.model, a1-a0, b1-b0, answer.status, answer.text)
		}
	}
	big.Kill()
	for range 3 {
		if answer := ann.send(`{"id":1,"method":"invoke","params":{"model":"big","prompt":"x","max_tokens":2}}`); answer.status != http.StatusOK {
			t.Errorf("without it: %d %s", answer.status, answer.text)
		}
	}
	if _, n := served(); n != 5 {
		t.Errorf("the stand-in has served %d calls", n)
	}
}
