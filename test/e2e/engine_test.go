package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/test/fake/engine"
	"github.com/headgate/headgate/test/peer"
)

// inferenceEngine is an OpenAI-compatible server.
type inferenceEngine struct {
	url       string // ends in /v1
	model     string
	simulator *engine.Server // nil: it is a real one
}

// inferenceEngines are those that the tests of engines meet: the simulator and Ollama or, where HEADGATE_ENGINE has the URL of another, that one, with
// the model HEADGATE_ENGINE_MODEL and the key HEADGATE_ENGINE_KEY. See docs/engines.md.
func inferenceEngines(t *testing.T) map[string]inferenceEngine {
	t.Helper()
	if elsewhere := os.Getenv("HEADGATE_ENGINE"); elsewhere != "" {
		model := os.Getenv("HEADGATE_ENGINE_MODEL")
		if model == "" {
			t.Fatal("HEADGATE_ENGINE is set: HEADGATE_ENGINE_MODEL must say which model to ask for")
		}
		return map[string]inferenceEngine{"elsewhere": {withKey(t, strings.TrimSuffix(elsewhere, "/"), os.Getenv("HEADGATE_ENGINE_KEY")), model, nil}}
	}
	simulator := engine.Start(t, engine.Config{Models: []string{"sim"}, PrefixCache: true, TokenRate: 50})
	return map[string]inferenceEngine{
		"simulator": {simulator.URL + "/v1", "sim", simulator},
		"Ollama":    {peer.ServeEngine(t).URL + "/v1", peer.TinyModel, nil},
	}
}

// withKey returns the address of a proxy that proves itself to a server with a key.
func withKey(t *testing.T, server, key string) string {
	t.Helper()
	if key == "" {
		return server
	}
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, target.Host
		r.Out.Header.Set("Authorization", "Bearer "+key)
	}}
	// Full duplex: otherwise the server takes the body away, if an answer comes before its end was looked at, and the transport hangs up.
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL + target.Path
}

// models writes the configuration of an engine's model in two ways: "chat" makes a message of a prompt, "plain" has it completed.
func (e inferenceEngine) models() string {
	return fmt.Sprintf(`models:
  chat: {backends: [{kind: openai, url: %q, model: %q, prompts: chat}]}
  plain: {backends: [{kind: openai, url: %q, model: %q, prompts: completions}]}
`, e.url, e.model, e.url, e.model)
}

// TestEngineAnswersAreRead: what Headgate reads of an engine is what OpenAI's own clients read of it.
func TestEngineAnswersAreRead(t *testing.T) {
	t.Parallel()
	for name, e := range inferenceEngines(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rpc := endpoint(startGateway(t, e.models()), "/rpc")
			var questions []peer.Question
			for _, q := range []peer.Question{{}, {Chat: true}, {Stream: true}, {Chat: true, Stream: true}} {
				q.Model, q.Prompt, q.MaxTokens = e.model, strings.Repeat("hello world, who are you? ", 8), 12
				questions = append(questions, q)
			}
			askGateway(t, rpc, questions) // from now on the engine has all it can in its cache
			node := peer.AskOpenAI(t, peer.OpenAINode, e.url, questions...)
			for client, read := range map[string][]peer.Answer{
				"openai-go":             peer.AskOpenAI(t, peer.OpenAIGo, e.url, questions...),
				"the same client again": peer.AskOpenAI(t, peer.OpenAINode, e.url, questions...), // tells whether the engine repeats itself
				"Headgate":              askGateway(t, rpc, questions),
			} {
				for i, a := range read {
					e.compare(t, fmt.Sprintf("%s, question %d (chat %t, stream %t)", client, i, questions[i].Chat, questions[i].Stream), node[i], a)
				}
			}
			if e.simulator != nil && node[0].Usage.Cached == 0 {
				t.Error("nothing was found in the cache")
			}
		})
	}
}

// compare holds an answer to what was read before. An engine elsewhere may be shared with others, who displace what was in its cache, and its last digits
// and with them its words may not be the same twice: that is told and no failure where tokens and reason agree.
func (e inferenceEngine) compare(t *testing.T, what string, want, got peer.Answer) {
	t.Helper()
	if want.Error != "" || want.Usage == nil {
		t.Fatalf("the engine does not answer its own client: %+v", want)
	}
	elsewhere := os.Getenv("HEADGATE_ENGINE") != ""
	if elsewhere && got.Usage != nil {
		got.Usage.Cached = want.Usage.Cached
	}
	if want.Text != got.Text {
		t.Logf("%s: other words: %q, %q", what, want.Text, got.Text)
		if !elsewhere {
			t.Errorf("%s: this engine repeats itself", what)
		}
		want.Text, got.Text = "", ""
	}
	want.Chunks, got.Chunks = 0, 0 // tokens that come together may be one
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-OpenAI's client +here):\n%s", what, diff)
	}
}

// askGateway asks the questions of a gateway's models, as its own client would.
func askGateway(t *testing.T, rpc string, questions []peer.Question) []peer.Answer {
	t.Helper()
	var answers []peer.Answer
	for _, q := range questions {
		model := map[bool]string{true: "chat", false: "plain"}[q.Chat]
		a, err := invoke(t, rpc, map[string]any{"model": model, "prompt": q.Prompt, "max_tokens": q.MaxTokens, "temperature": 0, "seed": 1, "stream": q.Stream})
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	return answers
}

// invoke calls a model of a gateway and reads all of its answer.
func invoke(t *testing.T, rpc string, params map[string]any) (peer.Answer, error) {
	t.Helper()
	var a peer.Answer
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "invoke", "params": params})
	if err != nil {
		return a, err
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, rpc, strings.NewReader(string(body)))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	for objects := json.NewDecoder(resp.Body); ; {
		var o struct {
			Result struct {
				Chunk  *struct{ Text string }
				Output string
				Reason string `json:"finish_reason"`
				Usage  *struct {
					Input     int64 `json:"input_tokens"`
					Output    int64 `json:"output_tokens"`
					Cached    int64 `json:"cached_tokens"`
					Estimated bool
				}
			}
			Error *struct {
				Message string
				Data    struct{ Reason string }
			}
			Done bool
		}
		if err := objects.Decode(&o); err != nil {
			return a, fmt.Errorf("after %d chunks: %w", a.Chunks, err)
		}
		r := o.Result
		switch {
		case o.Error != nil:
			a.Status, a.Error = resp.StatusCode, o.Error.Data.Reason+": "+o.Error.Message
			return a, nil
		case r.Chunk != nil:
			a.Chunks++
			a.Text += r.Chunk.Text
			continue
		case o.Done:
			return a, nil
		}
		a.Text, a.FinishReason = cmp.Or(r.Output, a.Text), r.Reason
		if r.Usage != nil && !r.Usage.Estimated {
			a.Usage = &peer.AnswerUsage{Input: r.Usage.Input, Output: r.Usage.Output, Cached: r.Usage.Cached}
		}
		if stream, _ := params["stream"].(bool); !stream {
			return a, nil
		}
	}
}

// TestEngineServesManyAtOnce: answers are not mixed up, and each is complete.
func TestEngineServesManyAtOnce(t *testing.T) {
	t.Parallel()
	for name, e := range inferenceEngines(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rpc := endpoint(startGateway(t, e.models()), "/rpc")
			var group sync.WaitGroup
			for i := range 12 {
				group.Go(func() {
					tokens := int64(4 + i)
					a, err := invoke(t, rpc, map[string]any{
						"model": "chat", "prompt": fmt.Sprintf("count to %d", i), "max_tokens": tokens, "stream": i%2 == 0, "ignore_eos": true,
					})
					if err != nil || a.Error != "" || a.Usage == nil || a.Usage.Output > tokens || a.Usage.Output == tokens && a.FinishReason != "length" {
						t.Errorf("%d: %v, %+v, %+v", i, err, a, a.Usage)
					}
				})
			}
			group.Wait()
		})
	}
}

// TestEngineErrors: what an engine refuses is told as the dialect has it.
func TestEngineErrors(t *testing.T) {
	t.Parallel()
	for name, e := range inferenceEngines(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.model += "-that-is-not-there"
			rpc := endpoint(startGateway(t, e.models()), "/rpc")
			for _, stream := range []bool{false, true} {
				a, err := invoke(t, rpc, map[string]any{"model": "chat", "prompt": "hello", "max_tokens": 4, "stream": stream})
				if err != nil || a.Status != http.StatusBadGateway || !strings.HasPrefix(a.Error, "upstream_error: ") {
					t.Errorf("stream %t: %v, %+v", stream, err, a)
				}
			}
		})
	}
}
