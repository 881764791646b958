package peer_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/test/fake/engine"
	"github.com/headgate/headgate/test/peer"
)

// TestOpenAIClients holds the two clients to each other: they read the same answers, of the simulator and of a real engine.
func TestOpenAIClients(t *testing.T) {
	t.Parallel()
	ollama, simulated := peer.ServeEngine(t), engine.Start(t, engine.Config{Models: []string{peer.TinyModel}, PrefixCache: true})
	for name, url := range map[string]string{"real": ollama.URL, "simulated": simulated.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var questions []peer.Question
			for _, q := range []peer.Question{{}, {Chat: true}, {Stream: true}, {Chat: true, Stream: true}} {
				q.Model, q.Prompt, q.MaxTokens = peer.TinyModel, "hello world", 12
				questions = append(questions, q)
			}
			questions = append(questions, peer.Question{Model: "none", Prompt: "x", Chat: true, MaxTokens: 1})
			node := peer.AskOpenAI(t, peer.OpenAINode, url+"/v1", questions...)
			golang := peer.AskOpenAI(t, peer.OpenAIGo, url+"/v1", questions...)
			for i, a := range node[:4] {
				if a.FinishReason != "length" || a.Usage == nil || a.Usage.Output != 12 || a.Usage.Input == 0 || a.Text == "" || a.Error != "" {
					t.Errorf("question %d: %+v", i, a)
				}
				if want := map[bool]int{false: 1, true: 12}[questions[i].Stream]; a.Chunks != want {
					t.Errorf("question %d: %d chunks, want %d", i, a.Chunks, want)
				}
			}
			if unary, streamed := node[1].Text, node[3].Text; unary != streamed {
				t.Errorf("the same chat is %q, and streamed %q", unary, streamed)
			}
			if node[4].Status != http.StatusNotFound || golang[4].Status != http.StatusNotFound {
				t.Errorf("of a model that is not there: %+v, %+v", node[4], golang[4])
			}
			for i := range node {
				node[i].Error, golang[i].Error = "", "" // each in its own words
				if name == "simulated" && node[i].Usage != nil {
					node[i].Usage.Cached, golang[i].Usage.Cached = 0, 0 // who comes second finds more
				}
			}
			if diff := cmp.Diff(node, golang); diff != "" {
				t.Errorf("the clients differ (-node +go):\n%s", diff)
			}
		})
	}
}

// TestEngineHasSlots: a third request waits for one of the two slots, and a client that leaves frees its own.
func TestEngineHasSlots(t *testing.T) {
	t.Parallel()
	url := peer.ServeEngine(t).URL
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	var others []*bufio.Reader
	for range peer.EngineSlots {
		resp, err := generate(ctx, url, 5000) // half a minute
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		others = append(others, bufio.NewReader(resp.Body))
		if _, err := others[0].ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	third := make(chan string, 1)
	go func() {
		resp, err := generate(t.Context(), url, 3)
		if err != nil {
			third <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body) // broken off: it has no end
		third <- string(text)
	}()
	for range 50 {
		if _, err := others[0].ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case text := <-third:
		t.Errorf("it did not wait: %s", text)
	default:
	}
	leave()
	if text := <-third; !strings.Contains(text, `"eval_count":3`) {
		t.Errorf("when a slot was free: %s", text)
	}
}

func generate(ctx context.Context, url string, tokens int) (*http.Response, error) {
	body, err := json.Marshal(map[string]any{"model": peer.SlowModel, "prompt": "hello", "options": map[string]int{"num_predict": tokens}})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/generate", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}
