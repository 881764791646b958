package model_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/test/fake/engine"
)

const typeLines = "application/x-ndjson"

func ollama(url string) config.ModelBackend { return config.ModelBackend{Kind: "ollama", URL: url} }

func TestOllamaAnswersAtOnceAndStreams(t *testing.T) {
	t.Parallel()
	sim := engine.Start(t, engine.Config{Key: secret})
	b := backend(t, ollama(sim.URL))
	for name, said := range map[string]string{"prompt": `"prompt":"once upon a time"`, "messages": `"messages":[{"role":"user","content":"once upon a time"}]`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := ask(t.Context(), t, b, invoke(t, fmt.Sprintf(`{"model":"default",%s,"max_tokens":9}`, said)))
			parts := ask(t.Context(), t, b, invoke(t, fmt.Sprintf(`{"model":"default",%s,"max_tokens":9,"stream":true}`, said)))
			if len(parts.Chunks) != 9 || len(whole.Chunks) != 0 {
				t.Errorf("%d chunks: %s", len(parts.Chunks), parts.Chunks)
			}
			if got, want := string(rpc.AppendString(nil, parts.text(t))), whole.member(t, "output"); got != want {
				t.Errorf("text %s, want %s", got, want)
			}
			sameJSON(t, "usage", whole.member(t, "usage"), parts.member(t, "usage"))
			if parts.member(t, "finish_reason") != `"length"` || parts.Usage.Estimated || parts.Usage.Output != 9 || whole.member(t, "model") != `"big"` {
				t.Errorf("%s, usage %+v", parts.Result, parts.Usage)
			}
			if name == "prompt" && whole.member(t, "context") == "" {
				t.Errorf("no context in %s", whole.Result)
			}
			if name == "prompt" && whole.member(t, "context") != parts.member(t, "context") {
				t.Errorf("context %s at once, %s at the end of a stream", whole.member(t, "context"), parts.member(t, "context"))
			}
		})
	}
}

func TestOllamaRequest(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg                config.ModelBackend
		params, path, want string
	}{
		"a prompt": {
			params: `{"model":"default","prompt":"a\u00e9","context":[1,2],"format":"json","x":1.0}`, path: "/api/generate",
			want: `{"model":"sim","prompt":"a\u00e9","context":[1,2],"format":"json","x":1.0,"stream":false}`,
		},
		"options": {
			params: `{"model":"default","prompt":"a","max_tokens":5,"temperature":0.70,"stop":"\n","options":{"num_ctx":512,"temperature":0.1,"num_predict":99},"seed":1,"stream":true}`,
			path:   "/api/generate",
			want:   `{"model":"sim","prompt":"a","stream":true,"options":{"num_predict":5,"num_ctx":512,"temperature":0.1,"stop":["\n"],"seed":1}}`,
		},
		"several stops": {
			params: `{"model":"default","prompt":"a","stop":["a","b"],"stream":false}`, path: "/api/generate",
			want: `{"model":"sim","prompt":"a","stream":false,"options":{"stop":["a","b"]}}`,
		},
		"messages, kept alive": {
			cfg:    config.ModelBackend{Model: "tiny:latest", KeepAlive: 90 * time.Second},
			params: `{"model":"default","messages":[]}`, path: "/api/chat", want: `{"model":"tiny:latest","messages":[],"stream":false,"keep_alive":"1m30s"}`,
		},
		"as long as the client says": {
			params: `{"model":"default","messages":[],"keep_alive":-1}`, path: "/api/chat", want: `{"model":"sim","messages":[],"keep_alive":-1,"stream":false}`,
		},
		"no client takes the model from others": {
			cfg:    config.ModelBackend{KeepAlive: 90 * time.Second},
			params: `{"model":"default","messages":[],"keep_alive":0}`, path: "/api/chat", want: `{"model":"sim","messages":[],"stream":false,"keep_alive":"1m30s"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, requests := serve(t, script{kind: "application/json", body: `{"response":"x","done":true}`})
			tt.cfg.Kind, tt.cfg.URL = "ollama", url
			ask(t.Context(), t, backend(t, tt.cfg), invoke(t, tt.params))
			if got := <-requests; got.path != tt.path || got.body != tt.want {
				t.Errorf("%s %s\nwant %s %s", got.path, got.body, tt.path, tt.want)
			}
		})
	}
}

func TestOllamaKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	last := `"done":true,"done_reason":"stop","context":[1,2,3],"total_duration":9007199254740993,"load_duration":5,"prompt_eval_count":7,"eval_count":0,"new":{"a":1}`
	whole, _ := serve(t, script{kind: "application/json", body: `{"model":"m","created_at":"now","response":"A\u0042","thinking":"hm",` + last + "}"})
	got := ask(t.Context(), t, backend(t, ollama(whole)), invoke(t, `{"model":"default","prompt":"a"}`))
	sameJSON(t, "result", `{"model":"big","output":"AB","thinking":"hm","finish_reason":"stop","context":[1,2,3],"total_duration":9007199254740993,"load_duration":5,
		"new":{"a":1},"usage":{"input_tokens":7,"output_tokens":0}}`, got.Result)

	parts, _ := serve(t, script{kind: typeLines, body: `{"model":"m","message":{"role":"assistant","content":"","thinking":"hm"},"done":false}

{"message":{"role":"assistant","content":"A"},"done":false}` + "\r\n" + `{"message":{"role":"assistant","content":"","tool_calls":[{"function":{}}]},"done":false}
{"message":{"role":"assistant","content":""},` + last + "}"})
	got = ask(t.Context(), t, backend(t, ollama(parts)), invoke(t, `{"model":"default","messages":[],"stream":true}`))
	if diff := cmp.Diff([]string{`{"text":"","thinking":"hm"}`, `{"text":"A"}`, `{"text":"","tool_calls":[{"function":{}}]}`}, got.Chunks); diff != "" {
		t.Errorf("chunks (-want +got):\n%s", diff)
	}
	sameJSON(t, "response", `{"usage":{"input_tokens":7,"output_tokens":0},"finish_reason":"stop","context":[1,2,3],"total_duration":9007199254740993,"load_duration":5,"new":{"a":1}}`, got.Result)
}

// A prompt that is all in the cache has no count.
func TestOllamaUsageThatIsMissing(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, script{kind: typeLines, body: `{"response":"abcde","done":false}` + "\n" + `{"response":"","done":true,"eval_count":4}` + "\n"})
	got := ask(t.Context(), t, backend(t, ollama(url)), invoke(t, `{"model":"default","prompt":"abcdef","stream":true}`))
	if want := (rpc.Usage{Input: 9, Output: 4, Estimated: true}); got.Usage != want || !strings.Contains(got.Result, `"estimated":true`) {
		t.Errorf("usage %+v in %s", got.Usage, got.Result)
	}
}

func TestOllamaProbe(t *testing.T) {
	t.Parallel()
	sim := engine.Start(t, engine.Config{Models: []string{"one"}, Key: secret})
	b := backend(t, ollama(sim.URL))
	names, err := b.(lister).Models(t.Context())
	if diff := cmp.Diff([]string{"one:latest"}, names); diff != "" || err != nil {
		t.Errorf("%v, models %s", err, diff)
	}
	if err := b.Warm(t.Context(), "one"); err != nil {
		t.Error(err)
	}
	if last := sim.Ledger()[len(sim.Ledger())-1]; last.Output != 1 {
		t.Errorf("to get warm: %+v", last)
	}
	if err := b.Warm(t.Context(), "none"); err == nil {
		t.Error("a model that there is not is warm")
	}
	sim.Kill()
	if err := b.Probe(t.Context()); err == nil {
		t.Error("a server that is not there is said to be well")
	}
}
