package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/test/fake/engine"
)

// failing is what an answer with an error has to look like.
type failing struct {
	code   int
	reason string
	status int
	after  bool // it says when to try again
	data   map[string]any
	header map[string]string // a part of their values
}

// check holds an answer of one object to what it has to look like.
func (f failing) check(t *testing.T, got told) {
	t.Helper()
	if len(got.objects) != 1 || got.objects[0].Error == nil {
		t.Fatalf("%d %s", got.status, got.text)
	}
	if kind := got.header.Get("Content-Type"); got.status != f.status || !strings.HasPrefix(kind, "application/json") {
		t.Errorf("status %d and %s, want %d and JSON", got.status, kind, f.status)
	}
	f.object(t, got.objects[0])
	wait, err := strconv.Atoi(got.header.Get("Retry-After"))
	ms, _ := got.objects[0].Error.Data["retry_after_ms"].(float64)
	if f.after && (err != nil || wait < 1 || ms < 1 || ms > float64(wait)*1000) || !f.after && (err == nil || ms != 0) {
		t.Errorf("Retry-After is %q, retry_after_ms %v", got.header.Get("Retry-After"), ms)
	}
	for name, part := range f.header {
		if !strings.Contains(got.header.Get(name), part) {
			t.Errorf("%s is %q, want %s in it", name, got.header.Get(name), part)
		}
	}
}

// object holds the object of an error to what it has to look like.
func (f failing) object(t *testing.T, got part) {
	t.Helper()
	e := got.Error
	if e.Code != f.code || e.Data["reason"] != f.reason || e.Message == "" || strings.Contains(e.Message, "goroutine") {
		t.Errorf("the error is %+v, want %d %s", e, f.code, f.reason)
	}
	if id, _ := e.Data["request_id"].(string); id == "" {
		t.Errorf("the data are %v, without a request_id", e.Data)
	}
	for name, want := range f.data {
		if v := e.Data[name]; v != want && (want != nil || v == nil) { // nil is anything
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
}

// brokenGateway is one on which everything can be had that goes wrong.
func brokenGateway(t *testing.T) (*gateway.Gateway, map[string]string) {
	t.Helper()
	good, bad := engine.Start(t, engine.Config{}), engine.Start(t, engine.Config{})
	mute := engine.Start(t, engine.Config{})
	bad.Fail(engine.Fault{Kind: engine.Refuse, Status: 500, Match: func(r *engine.Request) bool { return !r.Stream }})
	bad.Fail(engine.Fault{Kind: engine.Cut, After: 3})
	mute.Fail(engine.Fault{Kind: engine.Stall})
	section, key := bearers(
		bearer{id: "any", org: "acme", scopes: `"infer:*"`}, bearer{id: "tools", org: "acme", scopes: `"mcp:*"`},
		bearer{id: "barred", org: "acme", scopes: `"infer:*"`}, bearer{id: "other", org: "globex", scopes: `"infer:*"`},
	)
	calm := "warm_up: {at: never}, retry: {attempts: 1}"
	return startGateway(t, section+fmt.Sprintf(`
bounds: {body: 64KiB}
models:
  good: {%[1]s, aliases: [default], backends: [{kind: openai, url: "%[2]s/v1", model: sim}]}
  bad: {%[1]s, backends: [{kind: openai, url: "%[3]s/v1", model: sim}]}
  gone: {%[1]s, backends: [{kind: openai, url: "http://%[5]s/v1"}]}
  late: {%[1]s, deadlines: {first_token: 50ms, between_tokens: 50ms, total: 100ms}, backends: [{kind: openai, url: "%[4]s/v1", model: sim}]}
  full: {%[1]s, queue: {size: 0}, backends: [{kind: openai, url: "%[4]s/v1", model: sim, max_in_flight: 1}]}
  mute: {%[1]s, backends: [{kind: openai, url: "%[4]s/v1", model: sim}]}
  rated: {%[1]s, backends: [{kind: openai, url: "%[2]s/v1", model: sim}]}
  daily: {%[1]s, backends: [{kind: openai, url: "%[2]s/v1", model: sim}]}
  single: {%[1]s, backends: [{kind: openai, url: "%[4]s/v1", model: sim}]}
access:
  - {who: {key: barred}, deny: ["invoke:good"]}
limits:
  - {name: key-rate, scope: key, model: rated, unit: requests, rate: 1/h, burst: 1}
  - {name: key-day, scope: key, model: daily, unit: requests, limit: 1, per: day}
  - {name: key-slots, scope: key, model: single, unit: in_flight, limit: 1}
`, calm, good.URL, bad.URL, mute.URL, freeAddress(t))), key
}

// TestInferErrors provokes each row of the dialect's table of errors.
func TestInferErrors(t *testing.T) {
	t.Parallel()
	g, key := brokenGateway(t)
	const good = `{"id":"x\u0031","method":"invoke","params":{"model":"good","prompt":"p"}}`
	at := func(model string) string { return strings.Replace(good, `"good"`, strconv.Quote(model), 1) }
	job := func(prompt string) string {
		return `{"id":1,"method":"invoke_async","params":{"model":"good","idempotency_key":"k","prompt":"` + prompt + `"}}`
	}
	parse, request := failing{code: -32700, reason: "parse_error", status: 400}, failing{code: -32600, reason: "invalid_request", status: 400}
	params := failing{code: -32602, reason: "invalid_params", status: 400}
	unauthenticated := failing{code: -32000, reason: "unauthenticated", status: 401, header: map[string]string{"WWW-Authenticate": "Bearer"}}
	for name, tt := range map[string]struct {
		as     string
		before []string // requests that have to succeed
		body   string
		header []string
		want   failing
	}{
		"no JSON":                  {body: `{"id":1,`, want: parse},
		"no UTF-8":                 {body: "{\"id\":1,\"method\":\"p\xff\"}", want: parse},
		"a member twice":           {body: `{"id":1,"method":"invoke","params":{"model":"good","model":"bad","prompt":"p"}}`, want: parse},
		"no method":                {body: `{"id":1}`, want: request},
		"an id with a fraction":    {body: `{"id":1.5,"method":"ping"}`, want: request},
		"a batch":                  {body: `[` + good + `]`, want: request},
		"an answer to nothing":     {body: `{"id":1,"result":{}}`, want: request},
		"no id where one must be":  {body: `{"method":"status"}`, want: request},
		"a session that never was": {body: good, header: []string{"Mcp-Session-Id", "none"}, want: request},
		"too large":                {body: `{"id":1,"method":"ping","params":{"x":"` + strings.Repeat("x", 70<<10) + `"}}`, want: failing{code: -32600, reason: "invalid_request", status: 413}},
		"no such method":           {body: `{"id":1,"method":"tools/call","params":{"name":"a"}}`, want: failing{code: -32601, reason: "method_not_found", status: 404}},
		"no prompt":                {body: `{"id":1,"method":"invoke","params":{"model":"good"}}`, want: params},
		"no such model":            {body: at("nobody"), want: failing{code: -32602, reason: "invalid_params", status: 400, data: map[string]any{"model": "nobody"}}},
		"no credential":            {as: "none", body: good, want: unauthenticated},
		"a wrong credential":       {as: "wrong", body: good, want: unauthenticated},
		"no scope":                 {as: "tools", body: good, want: failing{code: -32001, reason: "forbidden", status: 403, header: map[string]string{"WWW-Authenticate": "insufficient_scope"}}},
		"a rule":                   {as: "barred", body: good, want: failing{code: -32001, reason: "forbidden", status: 403, data: map[string]any{"model": "good"}}},
		"a page of somebody's":     {body: good, header: []string{"Origin", "https://evil.example"}, want: failing{code: -32001, reason: "forbidden", status: 403}},
		"a rate": {before: []string{at("rated")}, body: at("rated"), want: failing{
			code: -32002, reason: "rate_limited", status: 429, after: true, data: map[string]any{"scope": "key", "unit": "requests", "limit": nil, "remaining": nil},
		}},
		"a budget": {before: []string{at("daily")}, body: at("daily"), want: failing{
			code: -32003, reason: "quota_exhausted", status: 429, after: true,
			data: map[string]any{"scope": "key", "unit": "requests", "limit": 1.0, "remaining": 0.0, "reset_at": nil},
		}},
		"nobody there":    {body: at("gone"), want: failing{code: -32006, reason: "upstream_unavailable", status: 503, after: true, data: map[string]any{"model": "gone"}}},
		"a backend fails": {body: at("bad"), want: failing{code: -32007, reason: "upstream_error", status: 502, data: map[string]any{"model": "bad"}}},
		"a model is slow": {body: at("late"), want: failing{code: -32008, reason: "deadline_exceeded", status: 504, data: map[string]any{"model": "late"}}},
		"no such job":     {body: `{"id":1,"method":"status","params":{"job_id":"none"}}`, want: failing{code: -32010, reason: "unknown_job", status: 404}},
		"no such job to cancel": {body: `{"id":1,"method":"cancel","params":{"job_id":"none"}}`, want: failing{
			code: -32010, reason: "unknown_job", status: 404,
		}},
		"a key for two jobs": {as: "other", before: []string{job("a"), job("a")}, body: job("b"), want: failing{code: -32012, reason: "conflict", status: 409}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := askerOf(t, g)
			switch tt.as {
			case "none":
			case "wrong":
				a.token = "nobody's"
			case "":
				a.token = key["any"]
			default:
				a.token = key[tt.as]
			}
			for _, body := range tt.before {
				if got := a.send(body); got.status != http.StatusOK {
					t.Fatalf("%s: %d %s", body, got.status, got.text)
				}
			}
			got := a.send(tt.body, tt.header...)
			tt.want.check(t, got)
			if strings.HasPrefix(tt.body, `{"id":"x\u0031"`) && !strings.Contains(got.text, `"id":"x\u0031"`) {
				t.Errorf("the id is not echoed as it was: %s", got.text)
			}
			if ok := a.send(`{"id":1,"method":"ping"}`); tt.as == "" && ok.status != http.StatusOK {
				t.Errorf("after it a ping is %d %s", ok.status, ok.text)
			}
		})
	}
}

// unanswered makes a call that is not answered until the test ends, and waits until it is in flight.
func unanswered(t *testing.T, a *asker, model string, body string) (end func(), over <-chan told) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan told, 1)
	go func() {
		defer close(done)
		b := *a
		b.t = giving{t, ctx}
		defer func() { _ = recover() }() // the client has left
		done <- b.send(body)
	}()
	t.Cleanup(func() { cancel(); <-done })
	for {
		var s struct {
			Models []struct {
				Name     string
				InFlight int `json:"in_flight"`
			}
		}
		a.ask("status", nil, &s)
		for _, m := range s.Models {
			if m.Name == model && m.InFlight > 0 {
				return cancel, done
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// giving is a test whose requests are given up when ctx ends.
type giving struct {
	*testing.T
	ctx context.Context //nolint:containedctx // as the test's own
}

func (g giving) Context() context.Context { return g.ctx }
func (g giving) Fatalf(string, ...any)    { panic("given up") }

func TestInferErrorsOfCallsInFlight(t *testing.T) {
	t.Parallel()
	g, key := brokenGateway(t)
	invoke := func(model string) string {
		return `{"id":1,"method":"invoke","params":{"model":"` + model + `","prompt":"p"}}`
	}
	t.Run("too many in flight", func(t *testing.T) {
		t.Parallel()
		a := askerOf(t, g)
		a.token = key["any"]
		unanswered(t, a, "single", invoke("single"))
		failing{
			code: -32004, reason: "too_many_in_flight", status: 429, after: true, data: map[string]any{"scope": "key", "unit": "in_flight", "limit": 1.0},
		}.check(t, a.send(invoke("single")))
	})
	t.Run("overloaded", func(t *testing.T) {
		t.Parallel()
		a := askerOf(t, g)
		a.token = key["any"]
		unanswered(t, a, "full", invoke("full"))
		failing{code: -32005, reason: "overloaded", status: 503, after: true, data: map[string]any{"model": "full"}}.check(t, a.send(invoke("full")))
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		a := askerOf(t, g)
		a.token = key["other"]
		a.open(nil)
		_, over := unanswered(t, a, "mute", `{"id":"long","method":"invoke","params":{"model":"mute","prompt":"p"}}`)
		for { // the status may have been another test's call
			var out struct{ Cancelled bool }
			a.ask("cancel", map[string]any{"id": "long"}, &out)
			if out.Cancelled {
				break
			}
			time.Sleep(time.Millisecond)
		}
		failing{code: -32009, reason: "cancelled", status: 499, data: map[string]any{"model": "mute"}}.check(t, <-over)
	})
	t.Run("a stream that breaks off", func(t *testing.T) {
		t.Parallel()
		a := askerOf(t, g)
		a.token = key["any"]
		got := a.send(`{"id":1,"method":"invoke","params":{"model":"bad","prompt":"p","stream":true}}`)
		if got.status != http.StatusOK || len(got.objects) < 2 {
			t.Fatalf("%d %s", got.status, got.text)
		}
		last := got.objects[len(got.objects)-1]
		if last.Error == nil || strings.Contains(got.text, `"done"`) {
			t.Fatalf("it ends with %s", got.text)
		}
		failing{code: -32007, reason: "upstream_error", data: map[string]any{"model": "bad"}}.object(t, last)
	})
}

func TestInferStateUnavailable(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{})
	cfg := config.Default()
	cfg.Listen, cfg.Admin.Listen, cfg.DataDir = "127.0.0.1:0", "127.0.0.1:0", ""
	cfg.Models = []config.Model{{
		Name: "sim", Balance: "expected-wait", Backends: []config.ModelBackend{{Kind: "openai", URL: e.URL + "/v1", Weight: 1}},
		Deadlines: config.Deadlines{FirstToken: time.Minute, BetweenTokens: time.Minute, Total: time.Hour}, WarmUp: config.WarmUp{At: "never"},
	}}
	g, err := gateway.New(t.Context(), cfg, gateway.Options{Log: slog.New(slog.NewTextHandler(logTo{t}, nil)), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.StopNow(context.Background()) })
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := askerOf(t, g)
	want := failing{code: -32011, reason: "state_unavailable", status: 503, after: true}
	want.check(t, a.send(`{"id":1,"method":"initialize","params":{"session":{"history":true}}}`))
	a.open(nil) // what needs no state goes on
	a.ask("invoke", map[string]any{"model": "sim", "prompt": "p"}, nil)
}

// TestInferInternal has a handler panic, before its reply and in it: the client is told that something is wrong, and no more.
func TestInferInternal(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.NewTextHandler(logTo{t}, nil))
	for name, h := range map[string]rpc.HandlerFunc{
		"at once":  func(context.Context, *rpc.Call) (*rpc.Reply, error) { panic("a secret") },
		"in Next":  func(context.Context, *rpc.Call) (*rpc.Reply, error) { return rpc.NewReply(panicking{}), nil },
		"an error": func(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, fmt.Errorf("a secret") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			front := edge.New(edge.Config{Body: 1 << 20}, edge.Deps{
				Handler: rpc.Chain(h, policy.Recover(log)), Endpoints: func(string) bool { return true }, Log: log,
			})
			server := httptest.NewServer(front)
			t.Cleanup(server.Close)
			got := (&asker{t: t, url: server.URL + infer.Path}).send(`{"id":1,"method":"invoke","params":{"model":"m","prompt":"p"}}`)
			failing{code: -32603, reason: "internal", status: 500}.check(t, got)
			if strings.Contains(got.text, "secret") {
				t.Errorf("the client is told %s", got.text)
			}
		})
	}
}

// panicking is a reply that nobody can read.
type panicking struct{}

func (panicking) Next() (*rpc.Message, error) { panic("a secret") }
func (panicking) Answer(*rpc.Message) error   { return rpc.ErrNoQuestion }
func (panicking) Close() error                { return nil }
