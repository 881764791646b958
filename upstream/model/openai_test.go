package model_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/test/fake/engine"
	"github.com/headgate/headgate/upstream/model"
)

const typeEvents = "text/event-stream"

func openAI(url string) config.ModelBackend {
	return config.ModelBackend{Kind: "openai", URL: url + "/v1", StreamUsage: true, Prompts: "chat"}
}

func TestOpenAIAnswersAtOnce(t *testing.T) {
	t.Parallel()
	sim := engine.Start(t, engine.Config{Key: secret})
	b := backend(t, openAI(sim.URL))
	for _, params := range []string{
		`{"model":"default","prompt":"hello there","max_tokens":5}`,
		`{"model":"default","messages":[{"role":"user","content":"hello there"}],"max_tokens":5,"stream":false}`,
	} {
		got := ask(t.Context(), t, b, invoke(t, params))
		if got.member(t, "model") != `"big"` || got.member(t, "finish_reason") != `"length"` || len(got.member(t, "output")) < 5 {
			t.Errorf("%s: %s", params, got.Result)
		}
		if got.Usage.Output != 5 || got.Usage.Input == 0 || got.Usage.Estimated {
			t.Errorf("%s: usage %+v", params, got.Usage)
		}
		if last := sim.Ledger()[len(sim.Ledger())-1]; last.Output != got.Usage.Output || last.Input != got.Usage.Input {
			t.Errorf("the engine counts %d and %d, we %+v", last.Input, last.Output, got.Usage)
		}
	}
}

func TestOpenAIStreams(t *testing.T) {
	t.Parallel()
	sim := engine.Start(t, engine.Config{Key: secret})
	for name, prompts := range map[string]string{"chat": "chat", "text": "completions"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := openAI(sim.URL)
			cfg.Prompts = prompts
			b := backend(t, cfg)
			whole := ask(t.Context(), t, b, invoke(t, `{"model":"default","prompt":"once upon a time","max_tokens":9}`))
			parts := ask(t.Context(), t, b, invoke(t, `{"model":"default","prompt":"once upon a time","max_tokens":9,"stream":true}`))
			if len(parts.Chunks) != 9 {
				t.Errorf("%d chunks: %s", len(parts.Chunks), parts.Chunks)
			}
			if got, want := string(rpc.AppendString(nil, parts.text(t))), whole.member(t, "output"); got != want {
				t.Errorf("text %s, want %s", got, want)
			}
			sameJSON(t, "usage", whole.member(t, "usage"), parts.member(t, "usage"))
			if parts.member(t, "finish_reason") != `"length"` || parts.Usage.Estimated || parts.Usage.Output != 9 {
				t.Errorf("%s, usage %+v", parts.Result, parts.Usage)
			}
		})
	}
}

// What is sent is what the client wrote, but for what has another name there.
func TestOpenAIRequest(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg                config.ModelBackend
		params, path, want string
	}{
		"a prompt": {
			cfg:    config.ModelBackend{Model: "org/m"},
			params: `{"model":"default","prompt":"a\u00e9\n","temperature":0.70,"seed":12345678901234567890,"x":{"y":[1e400]}}`,
			path:   "/v1/chat/completions",
			want:   `{"model":"org/m","messages":[{"role":"user","content":"a\u00e9\n"}],"temperature":0.70,"seed":12345678901234567890,"x":{"y":[1e400]}}`,
		},
		"a prompt as text": {
			cfg:    config.ModelBackend{Prompts: "completions"},
			params: `{"prompt":"a","model":"default"}`, path: "/v1/completions", want: `{"prompt":"a","model":"sim"}`,
		},
		"messages where prompts are text": {
			cfg:    config.ModelBackend{Prompts: "completions", StreamUsage: true},
			params: `{"model":"default", "messages": [ {"role":"user","content":[]} ]}`, path: "/v1/chat/completions",
			want: `{"model":"sim","messages":[ {"role":"user","content":[]} ]}`,
		},
		"a stream": {
			cfg:    config.ModelBackend{StreamUsage: true},
			params: `{"model":"default","messages":[],"stream":true}`, path: "/v1/chat/completions",
			want: `{"model":"sim","messages":[],"stream":true,"stream_options":{"include_usage":true}}`,
		},
		"a stream with options": {
			cfg:    config.ModelBackend{StreamUsage: true},
			params: `{"model":"default","messages":[],"stream_options":{"include_usage":false,"z":1},"stream":true}`, path: "/v1/chat/completions",
			want: `{"model":"sim","messages":[],"stream":true,"stream_options":{"include_usage":true,"z":1}}`,
		},
		"a stream of one that is not known to tell the usage": {
			params: `{"model":"default","messages":[],"stream":true}`, path: "/v1/chat/completions", want: `{"model":"sim","messages":[],"stream":true}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, requests := serve(t, script{kind: "application/json", body: `{"choices":[{"message":{"content":"x"}}]}`})
			tt.cfg.Kind, tt.cfg.URL = "openai", url+"/v1/"
			ask(t.Context(), t, backend(t, tt.cfg), invoke(t, tt.params))
			got := <-requests
			if got.path != tt.path || got.body != tt.want {
				t.Errorf("%s %s\nwant %s %s", got.path, got.body, tt.path, tt.want)
			}
			if got.header.Get("Authorization") != "Bearer "+secret || got.header.Get("Cookie") != "" || got.header.Get("User-Agent") != "headgate/test" {
				t.Errorf("header %v", got.header)
			}
		})
	}
}

// What the router and the policies have set or removed is what is sent.
func TestOpenAIRequestHasEdits(t *testing.T) {
	t.Parallel()
	url, requests := serve(t, script{kind: "application/json", body: `{"choices":[{"message":{"content":"x"}}]}`})
	c := invoke(t, `{"model":"default","prompt":"a"}`)
	c.Message = c.Message.Fork()
	c.Message.Drop("prompt")
	c.Message.Set("messages", []byte(`[{"role":"user","content":"b"}]`))
	ask(t.Context(), t, backend(t, openAI(url)), c)
	if got := <-requests; got.body != `{"model":"sim","messages":[{"role":"user","content":"b"}]}` {
		t.Error(got.body)
	}
}

func TestOpenAIKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, script{kind: "application/json; charset=utf-8", body: `{"id":"x","object":"chat.completion","created":1,"model":"org/m","system_fingerprint":"fp","service_tier":null,
		"choices":[{"index":0,"logprobs":{"content":[]},"message":{"role":"assistant","content":"A\u0042","reasoning_content":"hm","tool_calls":[{"id":"t"}],"refusal":null},"finish_reason":"tool_calls"},
		{"index":1,"message":{"role":"assistant","content":"C"},"finish_reason":"stop"}],
		"usage":{"prompt_tokens":7,"completion_tokens":0,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":2}}}`})
	got := ask(t.Context(), t, backend(t, openAI(url)), invoke(t, `{"model":"default","prompt":"a","n":2}`))
	sameJSON(t, "result", `{"model":"big","output":"AB","finish_reason":"tool_calls","reasoning_content":"hm","tool_calls":[{"id":"t"}],"logprobs":{"content":[]},
		"choices":[{"index":1,"output":"C","finish_reason":"stop"}],"system_fingerprint":"fp",
		"usage":{"input_tokens":7,"output_tokens":0,"cached_tokens":4,"completion_tokens_details":{"reasoning_tokens":2},"prompt_tokens_details":{"audio_tokens":0}}}`, got.Result)
	if !strings.Contains(got.Result, `"A\u0042"`) {
		t.Errorf("the text was written anew: %s", got.Result)
	}
	if want := (rpc.Usage{Input: 7, Cached: 4}); got.Usage != want {
		t.Errorf("usage %+v", got.Usage)
	}
}

func TestOpenAIStreamKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, script{kind: typeEvents, body: strings.ReplaceAll(`: hello

data: {"id":"x","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"system_fingerprint":"a"}

data: {"choices":[{"index":0,"delta":{"content":"A","reasoning_content":"hm"},"logprobs":{"c":1}}],"usage":null}
event: whatever

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t"}]}},{"index":1,"delta":{"content":"B"},"finish_reason":"stop"}],
data: "usage":{"prompt_tokens":3,"completion_tokens":1}}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls","stop_reason":null}],"system_fingerprint":"b","usage":{"prompt_tokens":3,"completion_tokens":4}}

data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":2}}}

data: [DONE]

data: {"error":"of nobody's interest"}

`, "\n", "\r\n")})
	got := ask(t.Context(), t, backend(t, openAI(url)), invoke(t, `{"model":"default","prompt":"a","stream":true,"n":2}`))
	want := []string{
		`{"text":"A","reasoning_content":"hm","logprobs":{"c":1}}`, `{"text":"","tool_calls":[{"index":0,"id":"t"}]}`,
		`{"text":"B","index":1,"finish_reason":"stop"}`,
	}
	if diff := cmp.Diff(want, got.Chunks); diff != "" {
		t.Errorf("chunks (-want +got):\n%s", diff)
	}
	sameJSON(t, "response", `{"usage":{"input_tokens":3,"output_tokens":5,"cached_tokens":2},"finish_reason":"tool_calls","system_fingerprint":"b"}`, got.Result)
}

// Usage is estimated, and said to be, where the server says nothing of it, or not all.
func TestOpenAIUsageThatIsMissing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		usage string
		want  rpc.Usage
	}{
		"none":          {"null", rpc.Usage{Input: 9, Output: 2, Estimated: true}},
		"one of two":    {`{"prompt_tokens":0}`, rpc.Usage{Input: 0, Output: 2, Estimated: true}},
		"no numbers":    {`{"prompt_tokens":"7","completion_tokens":1.5}`, rpc.Usage{Input: 9, Output: 2, Estimated: true}},
		"negative":      {`{"prompt_tokens":-7,"completion_tokens":-1}`, rpc.Usage{Input: 9, Output: 2, Estimated: true}},
		"beyond reason": {`{"prompt_tokens":99999999999999,"completion_tokens":1}`, rpc.Usage{Input: 9, Output: 1, Estimated: true}},
		"no object":     {`[1]`, rpc.Usage{Input: 9, Output: 2, Estimated: true}},
		"zero":          {`{"prompt_tokens":0,"completion_tokens":0}`, rpc.Usage{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stream, _ := serve(t, script{kind: typeEvents, body: `data: {"choices":[{"delta":{"content":"A"}}]}` + "\n\n" +
				`data: {"choices":[{"delta":{"content":"abcde"},"finish_reason":"stop"}],"usage":` + tt.usage + "}\n\ndata: [DONE]\n\n"})
			got := ask(t.Context(), t, backend(t, openAI(stream)), invoke(t, `{"model":"default","prompt":"abcdef","stream":true}`))
			if got.Usage != tt.want {
				t.Errorf("usage %+v, want %+v", got.Usage, tt.want)
			}
			if flagged := strings.Contains(got.Result, `"estimated":true`); flagged != tt.want.Estimated {
				t.Error(got.Result)
			}
			whole, _ := serve(t, script{kind: "application/json", body: `{"choices":[{"message":{"content":"abcdeab"}}],"usage":` + tt.usage + "}"})
			if got := ask(t.Context(), t, backend(t, openAI(whole)), invoke(t, `{"model":"default","prompt":"abcdef"}`)); got.Usage != tt.want {
				t.Errorf("at once: usage %+v, want %+v", got.Usage, tt.want)
			}
		})
	}
}

// What was learned of a model makes estimates better, and never smaller.
func TestUsageIsEstimatedByWhatWasLearned(t *testing.T) {
	t.Parallel()
	params := `{"model":"default","prompt":"abcdef"}`
	for _, tt := range []struct{ learned, want int64 }{{40, 40}, {1, 9}} {
		url, _ := serve(t, script{kind: "application/json", body: `{"choices":[{"message":{"content":"x"}}]}`})
		b := backendOf(t, openAI(url), model.BackendDeps{Tokens: func(name string, bytes int) int64 {
			if name != "big" || bytes != len(params) {
				t.Errorf("%d bytes for %q", bytes, name)
			}
			return tt.learned
		}})
		if got := ask(t.Context(), t, b, invoke(t, params)); got.Usage.Input != tt.want || !got.Usage.Estimated {
			t.Errorf("usage %+v, want %d", got.Usage, tt.want)
		}
	}
}

// Some servers tell the usage in each event: what comes after it is estimated on top of it.
func TestOpenAIUsageInEachEvent(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, script{kind: typeEvents, body: `data: {"choices":[{"delta":{"content":"A"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}` + "\n\n" +
		`data: {"choices":[{"delta":{"content":"B"}}],"usage":{"prompt_tokens":9,"completion_tokens":5}}` + "\n\n" +
		`data: {"choices":[{"delta":{"content":"C"}}]}` + "\n\n"})
	c := invoke(t, `{"model":"default","prompt":"a","stream":true}`)
	reply, err := backend(t, openAI(url)).Handle(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close() //nolint:errcheck // it breaks off
	for _, want := range []rpc.Usage{{Input: 9, Output: 1}, {Input: 9, Output: 5}, {Input: 9, Output: 6, Estimated: true}} {
		if _, err := reply.Next(); err != nil {
			t.Fatal(err)
		}
		if got := c.Record.Usage(); got != want {
			t.Errorf("usage %+v, want %+v", got, want)
		}
	}
}

func TestOpenAIProbe(t *testing.T) {
	t.Parallel()
	sim := engine.Start(t, engine.Config{Models: []string{"one", "two"}, Key: secret})
	b := backend(t, openAI(sim.URL))
	if err := b.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	names, err := b.(lister).Models(t.Context())
	if diff := cmp.Diff([]string{"one", "two"}, names); diff != "" || err != nil {
		t.Errorf("%v, models %s", err, diff)
	}
	if err := b.Warm(t.Context(), "two"); err != nil {
		t.Error(err)
	}
	if last := sim.Ledger()[len(sim.Ledger())-1]; last.Output != 1 || last.Model != "two" {
		t.Errorf("to get warm: %+v", last)
	}
	asText := openAI(sim.URL)
	asText.Prompts = "completions"
	if err := backend(t, asText).Warm(t.Context(), "one"); err != nil {
		t.Error(err)
	}
	if last := sim.Ledger()[len(sim.Ledger())-1]; last.Output != 1 || last.Path != "/v1/completions" {
		t.Errorf("to get warm: %+v", last)
	}
	sim.Kill()
	if err := b.Probe(t.Context()); err == nil {
		t.Error("a server that is not there is said to be well")
	}
}

// A server without /health is asked for its models, one whose /health complains is not well.
func TestOpenAIProbeWithoutHealth(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		health, models int
		body           string
		well           bool
	}{
		"no health":          {404, 200, `{"data":[]}`, true},
		"no health, no list": {404, 200, `<html>`, false},
		"nothing":            {404, 500, ``, false},
		"a bad engine":       {503, 200, `{"data":[]}`, false},
		"no such method":     {405, 200, `{"data":[{"id":"x"}]}`, true},
		"a health elsewhere": {301, 200, `{"data":[]}`, true},
		"a guarded health":   {401, 200, `{"data":[]}`, true},
		"a guarded list":     {404, 401, ``, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := mux(t, map[string]http.HandlerFunc{
				"/health": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tt.health) },
				"/v1/models": func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(tt.models)
					_, _ = w.Write([]byte(tt.body))
				},
			})
			b := backend(t, openAI(server))
			for range 2 {
				if err := b.Probe(t.Context()); (err == nil) != tt.well {
					t.Error(err)
				}
			}
		})
	}
}
