package model_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/router/model"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// named answers with its name and the name of the model that it is asked for.
func named(name string) rpc.Handler {
	return rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		text, err := json.Marshal(map[string]string{"by": name, "model": c.Target.Own, "canonical": c.Target.Canonical, "exposed": c.Target.Exposed})
		return rpc.Respond(rpc.NewResult(c.Message.ID, text)), err
	})
}

func well() model.Status { return model.Status{Available: true, InFlight: 2, Healthy: 1, Total: 1} }

func entries() []model.Entry {
	return []model.Entry{
		{Name: "small-*", Handler: named("small"), Status: well, Streams: true, Names: func() []string { return []string{"small-1b", "small-3b"} }},
		{Name: "llama-70b", Aliases: []string{"default", "small-9b"}, Context: 100, Labels: map[string]string{"zone": "a"}, Handler: named("llama"), Status: well, Streams: true},
		{Name: "default-two", Aliases: []string{"llama-70b"}, Handler: named("two"), Status: func() model.Status {
			return model.Status{Warming: true, QueueDepth: 3, Total: 2}
		}},
		{Name: "any-?", Handler: named("any"), Status: well},
	}
}

func newRouter(deps model.Deps) *model.Router {
	deps.Info, deps.Version, deps.Started = json.RawMessage(`{"name":"headgate"}`), "v", time.Now()
	return model.New(deps)
}

// ask sends a request all the way and returns its result.
func ask(t *testing.T, r *model.Router, method, params string, change func(*rpc.Call)) (string, error) {
	t.Helper()
	row, ok := infer.Lookup(method)
	if !ok {
		row = infer.Foreign(method)
	}
	c := &rpc.Call{Method: row, Message: rpc.NewRequest(rpc.NumberID(1), method, []byte(params)), Dialect: rpc.Infer, Endpoint: infer.Path}
	if change != nil {
		change(c)
	}
	reply, err := rpc.Chain(r, r.Resolve).Handle(t.Context(), c)
	if err != nil {
		return "", err
	}
	defer reply.Close()
	m, err := reply.Next()
	if rpc.IsEnd(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return string(m.Result), nil
}

func TestInvokeFindsTheModel(t *testing.T) {
	t.Parallel()
	r := newRouter(model.Deps{Models: entries()})
	for asked, want := range map[string]string{
		"llama-70b":   `{"by":"llama","canonical":"llama-70b","exposed":"llama-70b","model":"llama-70b"}`, // whatever aliases others claim
		"default":     `{"by":"llama","canonical":"llama-70b","exposed":"default","model":"llama-70b"}`,
		"small-9b":    `{"by":"llama","canonical":"llama-70b","exposed":"small-9b","model":"llama-70b"}`, // an alias comes before a glob
		"small-1b":    `{"by":"small","canonical":"small-1b","exposed":"small-1b","model":"small-1b"}`,
		"small-other": `{"by":"small","canonical":"small-other","exposed":"small-other","model":"small-other"}`,
		"any-1":       `{"by":"any","canonical":"any-1","exposed":"any-1","model":"any-1"}`,
	} {
		params, _ := json.Marshal(map[string]string{"model": asked, "prompt": "p"})
		if got, err := ask(t, r, infer.Invoke, string(params), nil); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", asked, got, err, want)
		}
	}
	for params, want := range map[string]rpc.Code{
		`{"model":"nobody","prompt":"p"}`:  rpc.InvalidParams,
		`{"model":"any-10","prompt":"p"}`:  rpc.InvalidParams,
		`{"prompt":"p"}`:                   rpc.InvalidParams,
		`{"model":"llama-70b"}`:            rpc.InvalidParams,
		`{"model":["llama"],"prompt":"p"}`: rpc.InvalidParams,
	} {
		if got, err := ask(t, r, infer.Invoke, params, nil); rpc.CodeOf(err) != want || err == nil {
			t.Errorf("%s: %s, %v", params, got, err)
		}
	}
	_, err := ask(t, r, infer.Invoke, `{"model":"nobody","prompt":"p"}`, nil)
	if data, _ := rpc.AsError(err).Data.(map[string]any); data["model"] != "nobody" {
		t.Errorf("the error's data are %v", data)
	}
}

func TestInitialize(t *testing.T) {
	t.Parallel()
	opened := 0
	r := newRouter(model.Deps{
		Models: entries(), Jobs: named("jobs"),
		Sees: func(_ *rpc.Call, target *rpc.Target) bool {
			return target.Canonical != "small-3b" && target.Canonical != "any-?"
		},
		Open: func(_ context.Context, _ *rpc.Call, i infer.Introduction) (string, error) {
			opened++
			if !i.History {
				t.Error("the wish for history is lost")
			}
			return "s1", nil
		},
	})
	got, err := ask(t, r, infer.Initialize, `{"session":{"history":true}}`, nil)
	want := `{"protocolVersion":"2026-11-01","serverInfo":{"name":"headgate"},"sessionId":"s1",` +
		`"capabilities":{"streaming":true,"async":true,"cancel":true,"logs":false,"methods":["initialize","invoke","invoke_async","status","cancel","heartbeat","ping"]},` +
		`"models":[{"name":"small-1b","streaming":true},{"name":"llama-70b","streaming":true,"context":100,"labels":{"zone":"a"},"aliases":["default","small-9b"]},` +
		`{"name":"default-two","streaming":false,"aliases":["llama-70b"]}]}`
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	got, err = ask(t, r, infer.Initialize, `{}`, func(c *rpc.Call) { c.Client.Session = "key" })
	if err != nil || opened != 1 || strings.Contains(got, "sessionId") {
		t.Errorf("a client that has a session gets another one: %s, %v", got, err)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at := time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)
		r := newRouter(model.Deps{
			Models: entries()[1:3],
			Session: func(context.Context, *rpc.Call) (*model.Session, error) {
				return &model.Session{Usage: &model.Spent{Input: 1, Output: 2, Estimated: true}, Turns: 3, Expires: at}, nil
			},
		})
		time.Sleep(90 * time.Second)
		models := `"models":[{"name":"llama-70b","available":true,"warming":false,"queue_depth":0,"in_flight":2,"backends":{"healthy":1,"total":1}},` +
			`{"name":"default-two","available":false,"warming":true,"queue_depth":3,"in_flight":0,"backends":{"healthy":0,"total":2}}]`
		got, err := ask(t, r, infer.Status, `{}`, nil)
		if diff := cmp.Diff(`{"status":"degraded","version":"v","uptime_seconds":90,`+models+`}`, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		got, err = ask(t, r, infer.Status, `{}`, func(c *rpc.Call) { c.Client.Session = "key" })
		session := `"session":{"usage":{"input_tokens":1,"output_tokens":2,"estimated":true},"history_turns":3,"expires_at":"2026-11-23T01:00:00Z"}`
		if err != nil || !strings.Contains(got, session) {
			t.Errorf("%s, %v", got, err)
		}
	})
	for want, models := range map[string][]model.Entry{
		`"ok"`: nil, `"unavailable"`: entries()[2:3], `"degraded"`: entries()[1:3],
	} {
		got, err := ask(t, newRouter(model.Deps{Models: models}), infer.Status, `{}`, nil)
		if err != nil || !strings.HasPrefix(got, `{"status":`+want) {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
}

// flights knows one request, 7.
type flights struct{ rpc.Flight }

func (flights) Cancel(id rpc.ID) bool { return id.Raw() == "7" }

func TestCancelAndJobs(t *testing.T) {
	t.Parallel()
	with := func(c *rpc.Call) { c.Flight = flights{} }
	for name, tt := range map[string]struct {
		deps           model.Deps
		method, params string
		change         func(*rpc.Call)
		want           string
		code           rpc.Code
	}{
		"a request":                 {method: infer.Cancel, params: `{"id":7}`, change: with, want: `{"cancelled":true}`},
		"another request":           {method: infer.Cancel, params: `{"id":"7"}`, change: with, want: `{"cancelled":false}`},
		"without a session":         {method: infer.Cancel, params: `{"id":7}`, want: `{"cancelled":false}`},
		"nothing":                   {method: infer.Cancel, params: `{}`, code: rpc.InvalidParams},
		"a job":                     {deps: model.Deps{Jobs: named("jobs")}, method: infer.Cancel, params: `{"job_id":"j"}`, want: `{"by":"jobs","canonical":"","exposed":"","model":""}`},
		"a job's status":            {deps: model.Deps{Jobs: named("jobs")}, method: infer.Status, params: `{"job_id":"j"}`, want: `{"by":"jobs","canonical":"","exposed":"","model":""}`},
		"a job where there are":     {method: infer.Cancel, params: `{"job_id":"j"}`, code: rpc.JobUnknown},
		"a job's status, no jobs":   {method: infer.Status, params: `{"job_id":"j"}`, code: rpc.JobUnknown},
		"a job to be taken, none":   {deps: model.Deps{Models: entries()}, method: infer.InvokeAsync, params: `{"model":"default","prompt":"p"}`, code: rpc.MethodNotFound},
		"a job to be taken":         {deps: model.Deps{Models: entries(), Jobs: named("jobs")}, method: infer.InvokeAsync, params: `{"model":"default","prompt":"p"}`, want: `{"by":"jobs","canonical":"llama-70b","exposed":"default","model":"llama-70b"}`},
		"a job of an unknown model": {deps: model.Deps{Jobs: named("jobs")}, method: infer.InvokeAsync, params: `{"model":"x","prompt":"p"}`, code: rpc.InvalidParams},
		"logs where there are none": {method: infer.Logs, params: `{}`, code: rpc.MethodNotFound},
		"logs":                      {deps: model.Deps{Logs: named("logs")}, method: infer.Logs, params: `{}`, want: `{"by":"logs","canonical":"","exposed":"","model":""}`},
		"a method nobody knows":     {method: "tools/call", params: `{}`, code: rpc.MethodNotFound},
		"a chunk from a client":     {method: infer.Chunk, params: `{}`, code: rpc.MethodNotFound},
		"a nonce that is an object": {method: infer.Ping, params: `{"nonce":{}}`, code: rpc.InvalidParams},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ask(t, newRouter(tt.deps), tt.method, tt.params, tt.change)
			if got != tt.want || (err != nil) != (tt.code != 0) || err != nil && rpc.CodeOf(err) != tt.code {
				t.Errorf("%s, %v, want %s, %v", got, err, tt.want, tt.code)
			}
		})
	}
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got, err := ask(t, newRouter(model.Deps{}), infer.Heartbeat, `{"nonce":1.50}`, nil)
		if want := `{"nonce":1.50,"time":"2000-01-01T00:00:00Z"}`; err != nil || got != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	})
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	r := newRouter(model.Deps{Models: entries(), Jobs: named("jobs"), Logs: named("logs")})
	for _, method := range infer.Methods() {
		params := `{"model":"default","prompt":"p","id":7}`
		got, err := ask(t, r, method, params, func(c *rpc.Call) { c.Message = rpc.NewNotification(method, []byte(params)) })
		if infer.MayNotify(method) {
			if got != "" || err != nil {
				t.Errorf("%s: %s, %v", method, got, err)
			}
		} else if rpc.CodeOf(err) != rpc.InvalidRequest {
			t.Errorf("%s: %s, %v, want that it needs an id", method, got, err)
		}
	}
}
