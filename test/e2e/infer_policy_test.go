package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake/engine"
)

// inferred is what a gateway answers to a message of the inference dialect.
type inferred struct {
	status  int
	header  http.Header
	objects []struct {
		Result json.RawMessage
		Error  *struct {
			Code    int
			Message string
			Data    map[string]any
		}
		Done bool
	}
}

// inferring sends a message over HTTP with a key.
func inferring(t *testing.T, g *gateway.Gateway, key, method, params string) (out inferred) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint(g, "/rpc"), strings.NewReader(fmt.Sprintf(`{"id":1,"method":%q,"params":%s}`, method, params)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it has nothing to say
	out.status, out.header = resp.StatusCode, resp.Header
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(body.String()) {
		out.objects = append(out.objects, struct {
			Result json.RawMessage
			Error  *struct {
				Code    int
				Message string
				Data    map[string]any
			}
			Done bool
		}{})
		if err := json.Unmarshal([]byte(line), &out.objects[len(out.objects)-1]); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	return out
}

// code is the code of the error that an answer ends with, 0 for none.
func (i inferred) code() int {
	if n := len(i.objects); n > 0 && i.objects[n-1].Error != nil {
		return i.objects[n-1].Error.Code
	}
	return 0
}

// whole is the text of an answer, streamed or not.
func (i inferred) text(t *testing.T) (out string) {
	t.Helper()
	for _, o := range i.objects {
		var r struct {
			Output string
			Chunk  struct{ Text string }
		}
		if o.Result != nil {
			if err := json.Unmarshal(o.Result, &r); err != nil {
				t.Fatal(err)
			}
		}
		out += r.Output + r.Chunk.Text
	}
	return out
}

const modelKeys = `
auth:
  keys:
    - {id: dev, key: the-key-of-developers, org: acme, team: tools, scopes: ["mcp:*", "infer:*"]}
    - {id: ci, key: the-key-of-machines-1, org: acme, team: build, scopes: ["mcp:tools/*", "infer:invoke"]}
    - {id: mcp, key: the-key-of-tools-only, org: acme, team: tools, scopes: ["mcp:*"]}
`

// A key with infer:invoke alone may ask models and not have their answers streamed; rules take models away.
func TestScopesAndRulesOfModels(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{})
	g := startGateway(t, modelKeys+engineModels(e.URL, "llama-70b", "secret-7b")+`
access:
  - {who: {team: build}, deny: ["invoke:secret-*"]}
  - {who: {team: build}, deny: ["invoke:llama-*"], when: 'args.max_tokens > 100'}
`)
	const dev, ci, mcp = "the-key-of-developers", "the-key-of-machines-1", "the-key-of-tools-only"
	for _, tc := range []struct {
		key, method, params string
		code                int
		scope               string // that is asked for
	}{
		{dev, "invoke", `{"model":"llama-70b","prompt":"?"}`, 0, ""},
		{dev, "invoke", `{"model":"llama-70b","prompt":"?","stream":true,"max_tokens":200}`, 0, ""},
		{dev, "invoke", `{"model":"secret-7b","prompt":"?"}`, 0, ""},
		{ci, "invoke", `{"model":"llama-70b","prompt":"?"}`, 0, ""},
		{ci, "invoke", `{"model":"llama-70b","prompt":"?","max_tokens":100}`, 0, ""},
		{ci, "invoke", `{"model":"llama-70b","prompt":"?","max_tokens":101}`, -32001, ""},
		{ci, "invoke", `{"model":"llama-70b","prompt":"?","stream":true}`, -32001, "infer:stream"},
		{ci, "invoke", `{"model":"secret-7b","prompt":"?"}`, -32001, ""},
		{ci, "invoke_async", `{"model":"llama-70b","prompt":"?"}`, 0, ""},
		{ci, "invoke_async", `{"model":"secret-7b","prompt":"?"}`, -32001, ""},
		{ci, "logs", `{"follow":false}`, -32001, "infer:logs"},
		{ci, "status", `{}`, 0, ""},
		{mcp, "invoke", `{"model":"llama-70b","prompt":"?"}`, -32001, "infer:invoke"},
		{mcp, "invoke", `{"model":"no such model","prompt":"?"}`, -32001, "infer:invoke"},
		{mcp, "heartbeat", `{}`, 0, ""},
		{"not-a-key-of-anybody", "heartbeat", `{}`, -32000, ""},
	} {
		got := inferring(t, g, tc.key, tc.method, tc.params)
		if got.code() != tc.code || (got.status == http.StatusForbidden) != (tc.code == -32001) {
			t.Errorf("%s with %s: %d, status %d, want %d", tc.method+" "+tc.params, tc.key, got.code(), got.status, tc.code)
		}
		if tc.scope == "" || got.code() == 0 {
			continue
		}
		if needs := fmt.Sprint(got.objects[0].Error.Data["scopes"]); needs != "["+tc.scope+"]" || got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s with %s: needs %s, challenged with %q", tc.method+" "+tc.params, tc.key, needs, got.header.Get("WWW-Authenticate"))
		}
	}
	for key, want := range map[string][]string{dev: {"llama-70b", "secret-7b"}, ci: {"llama-70b"}, mcp: nil} {
		for _, method := range []string{"initialize", "status"} {
			var shown struct{ Models []struct{ Name string } }
			if err := json.Unmarshal(inferring(t, g, key, method, `{}`).objects[0].Result, &shown); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, m := range shown.Models {
				names = append(names, m.Name)
			}
			if diff := cmp.Diff(want, names); diff != "" {
				t.Errorf("%s with %s:\n%s", method, key, diff)
			}
		}
	}
}

// What limits say of themselves, before an answer, in the middle of one, and to those who ask why.
func TestBudgetsOfTokensAreTold(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{Length: func(*engine.Request) int { return 400 }})
	g := startGateway(t, modelKeys+engineModels(e.URL, "llama-70b")+`
limits:
  - {name: day, scope: key, unit: tokens, model: "llama-*", limit: 1000, per: day}
`)
	const dev, ci = "the-key-of-developers", "the-key-of-machines-1"
	got := inferring(t, g, dev, "invoke", `{"model":"llama-70b","prompt":"?","max_tokens":50}`)
	if got.status != http.StatusOK || !strings.HasPrefix(got.header.Get("RateLimit"), `"day";r=9`) || got.header.Get("RateLimit-Policy") != `"day";q=1000;w=86400;qu="tokens"` {
		t.Errorf("%d %v", got.status, got.header)
	}
	// Twice as long as it may be: the second is cut where the budget ends, with what was said until then.
	for range 2 {
		got = inferring(t, g, dev, "invoke", `{"model":"llama-70b","prompt":"?","stream":true}`)
	}
	if got.header.Get("RateLimit") == "" {
		t.Errorf("a stream says nothing of limits: %v", got.header)
	}
	for ; got.code() == 0; got = inferring(t, g, dev, "invoke", `{"model":"llama-70b","prompt":"?","stream":true}`) {
	}
	if last := got.objects[len(got.objects)-1]; got.code() != -32003 || last.Error.Data["reason"] != "quota_exhausted" || last.Error.Data["limit_name"] != "day" ||
		last.Error.Data["unit"] != "tokens" || last.Error.Data["scope"] != "key" || last.Error.Data["limit"] != 1000.0 || last.Error.Data["model"] != "llama-70b" ||
		last.Error.Data["reset_at"] == nil || last.Error.Data["retry_after_ms"] == nil || last.Error.Data["request_id"] == nil || last.Error.Data["remaining"] == nil {
		t.Errorf("%d %+v", got.status, last.Error)
	}
	got = inferring(t, g, dev, "invoke", `{"model":"llama-70b","prompt":"?","max_tokens":999}`)
	if got.status != http.StatusTooManyRequests || got.code() != -32003 || got.header.Get("RateLimit") == "" || got.header.Get("Retry-After") != "" ||
		got.objects[0].Error.Data["retry_after_ms"] != nil { // it will never fit
		t.Errorf("%d %+v %v", got.status, got.objects, got.header)
	}
	explained, err := g.Explain(t.Context(), admin.Question{Method: "invoke", Name: "llama-70b", As: "ci", Arguments: []byte(`{"max_tokens":70,"stream":true}`)})
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, s := range explained.Steps {
		steps = append(steps, fmt.Sprintf("%s %v %s", s.Stage, s.Passes, s.Reason))
	}
	want := []string{
		`auth true organisation acme, team build, key ci, with the scopes [mcp:tools/* infer:invoke]`,
		`resolve true "llama-70b" is the model "llama-70b"; rules know it by that name`,
		`access false none of the scopes is good for stream; lists show it`,
		`limits true limit "day" of 1000 tokens a day for this key has 1000 left; 86 are reserved before the call runs`,
		`model true llama-70b has 1 of 1 backends, 0 calls in flight and 0 that wait`,
	}
	if diff := cmp.Diff(want, steps); diff != "" || explained.Outcome != "forbidden" {
		t.Errorf("%s: %s", explained.Outcome, diff)
	}
	if got := inferring(t, g, ci, "invoke", `{"model":"llama-70b","prompt":"?","max_tokens":50}`); got.code() != 0 {
		t.Errorf("another key: %+v", got.objects)
	}
}

// An answer that was asked for in chunks because nobody knew how long it would be is the one that it would have been in one piece.
func TestAnswersThatArePutTogetherAreWhole(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{Record: true})
	g := startGateway(t, modelKeys+engineModels(e.URL, "llama-70b", "other")+`
limits:
  - {name: day, scope: key, unit: tokens, model: "llama-*", limit: 10000, per: day}
`)
	for _, params := range []string{`"prompt":"how so?"`, `"messages":[{"role":"user","content":"how so?"}],"top_p":0.5`, `"prompt":"how so?","n":2`} {
		var got [2]map[string]any
		for i, model := range []string{"llama-70b", "other"} {
			answer := inferring(t, g, "the-key-of-developers", "invoke", fmt.Sprintf(`{"model":%q,%s}`, model, params))
			if answer.code() != 0 || len(answer.objects) != 1 {
				t.Fatalf("%+v", answer.objects)
			}
			if err := json.Unmarshal(answer.objects[0].Result, &got[i]); err != nil {
				t.Fatal(err)
			}
			if got[i]["model"] != model {
				t.Errorf("the model is %v", got[i]["model"])
			}
			delete(got[i], "model")
		}
		empty := cmpopts.IgnoreMapEntries(func(_ string, v any) bool { list, ok := v.([]any); return ok && len(list) == 0 }) // which engines leave out of streams
		if diff := cmp.Diff(got[1], got[0], empty); diff != "" {
			t.Errorf("%s (-in one piece +put together):\n%s", params, diff)
		}
	}
	streamed := 0
	for _, r := range e.Ledger() {
		if bytes.Contains(r.Body, []byte(`"stream":true`)) {
			streamed++
		}
	}
	if streamed != 3 {
		t.Errorf("%d calls were made in chunks", streamed)
	}
}

// A job pays when it is run, not when it is asked for.
func TestJobsPayWhenTheyRun(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{})
	g := startGateway(t, modelKeys+engineModels(e.URL, "llama-70b")+`
limits:
  - {name: day, scope: key, unit: tokens, limit: 1000, per: day}
  - {name: calls, scope: key, unit: requests, method: "invoke*", limit: 100, per: day}
`)
	const dev = "the-key-of-developers"
	var job struct {
		ID string `json:"job_id"`
	}
	if err := json.Unmarshal(inferring(t, g, dev, "invoke_async", `{"model":"llama-70b","prompt":"?"}`).objects[0].Result, &job); err != nil {
		t.Fatal(err)
	}
	got := inferring(t, g, dev, "status", fmt.Sprintf(`{"job_id":%q,"wait":20}`, job.ID))
	if !strings.Contains(string(got.objects[0].Result), `"succeeded"`) {
		t.Fatalf("%s", got.objects[0].Result)
	}
	stats := e.Stats()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for name, want := range map[string]int64{"day": 1000 - stats.Prompt - stats.Sampled, "calls": 99} {
		for tokensLeft(t, g, name) != want { // it is settled when the run has ended, a moment after its result is there
			select {
			case <-ctx.Done():
				t.Fatalf("%s has %d left, want %d", name, tokensLeft(t, g, name), want)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

// tokensLeft is what a limit has left for the key of developers.
func tokensLeft(t *testing.T, g *gateway.Gateway, limit string) (n int64) {
	t.Helper()
	e, err := g.Explain(t.Context(), admin.Question{Method: "invoke", Name: "llama-70b", As: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range e.Steps {
		if _, rest, ok := strings.Cut(s.Reason, "has "); ok && strings.Contains(s.Reason, `"`+limit+`"`) {
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

// An answer that is kept is given again to its caller alone, streamed as it was, and costs nothing.
func TestAnswersOfModelsAreGivenAgain(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{})
	g := startGateway(t, modelKeys+engineModels(e.URL, "llama-70b")+`
limits:
  - {name: day, scope: key, unit: tokens, limit: 100000, per: day}
cache:
  models: {allow: ["llama-*"], ttl: 10m}
`)
	const dev, ci = "the-key-of-developers", "the-key-of-machines-1"
	for _, params := range []string{
		`{"model":"llama-70b","prompt":"?","temperature":0}`, `{"model":"llama-70b","prompt":"?","temperature":0,"stream":true}`,
	} {
		first := inferring(t, g, dev, "invoke", params)
		before, begun := tokensLeft(t, g, "day"), e.Stats().Requests
		second := inferring(t, g, dev, "invoke", params)
		if diff := cmp.Diff(first.objects, second.objects); diff != "" || first.text(t) == "" {
			t.Errorf("%q: %s", first.text(t), diff)
		}
		if got := tokensLeft(t, g, "day"); got != before || e.Stats().Requests != begun {
			t.Errorf("%d are left, %d before; the model was asked %d times, %d before", got, before, e.Stats().Requests, begun)
		}
	}
	begun := e.Stats().Requests
	for _, other := range []struct{ key, params string }{
		{ci, `{"model":"llama-70b","prompt":"?","temperature":0}`}, {dev, `{"model":"llama-70b","prompt":"?"}`}, {dev, `{"model":"llama-70b","prompt":"?","temperature":0,"top_p":1}`},
	} {
		inferring(t, g, other.key, "invoke", other.params)
		if begun++; e.Stats().Requests != begun {
			t.Errorf("%s of %s was not made", other.params, other.key)
		}
	}
}
