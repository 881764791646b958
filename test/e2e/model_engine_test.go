package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/peer"
)

// invoker is a client of the dialect over HTTP.
type invoker struct {
	t       *testing.T
	url     string
	session string
}

// object is one object of an answer.
type object struct {
	Result struct {
		Model, Output string
		SessionID     string
		Chunk         *struct{ Text string }
		FinishReason  string `json:"finish_reason"`
		Context       []int
		LoadDuration  int64 `json:"load_duration"`
		Usage         *struct {
			Input     int64 `json:"input_tokens"`
			Output    int64 `json:"output_tokens"`
			Estimated bool
		}
		Models []struct {
			Name       string
			QueueDepth int `json:"queue_depth"`
			InFlight   int `json:"in_flight"`
		}
	}
	Error *struct {
		Code    int
		Message string
	}
	Done bool
}

// open makes a request, and returns its answer, of which nothing has been read. Who is done with it closes it.
func (c *invoker) open(ctx context.Context, method string, params map[string]any) *http.Response {
	c.t.Helper()
	body, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

// next reads an object of an answer.
func (c *invoker) next(r *bufio.Reader) (object, error) {
	var o object
	line, err := r.ReadBytes('\n')
	if len(line) > 0 {
		if err := json.Unmarshal(line, &o); err != nil {
			c.t.Fatalf("%v in %s", err, line)
		}
		return o, nil
	}
	return o, err
}

// ask makes a request and reads its whole answer: the last object before the end, and the text of the chunks.
func (c *invoker) ask(method string, params map[string]any) (last object, text string, chunks int) {
	c.t.Helper()
	resp := c.open(c.t.Context(), method, params)
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	for {
		o, err := c.next(r)
		switch {
		case err == io.EOF: //nolint:errorlint // it is returned itself
			return last, text, chunks
		case err != nil:
			c.t.Fatal(err)
		case o.Done:
		case o.Result.Chunk != nil:
			text += o.Result.Chunk.Text
			chunks++
		default:
			last = o
		}
	}
}

// inFlight is how many calls of a model the gateway says to run, and to wait.
func (c *invoker) inFlight(model string) (running, waiting int) {
	c.t.Helper()
	o, _, _ := c.ask("status", nil)
	for _, m := range o.Result.Models {
		if m.Name == model {
			return m.InFlight, m.QueueDepth
		}
	}
	c.t.Fatalf("no model %q in %+v", model, o)
	return 0, 0
}

// bothProtocols is the configuration of a real engine's models, by both of its protocols.
func bothProtocols(t *testing.T, engine string) *gateway.Gateway {
	var text strings.Builder
	text.WriteString("models:\n")
	for _, name := range []string{peer.TinyModel, peer.SlowModel, "absent"} {
		for kind, url := range map[string]string{"openai": engine + "/v1", "ollama": engine} {
			fmt.Fprintf(&text, "  %s-%s:\n    max_in_flight: %d\n    breaker: {failures: 0}\n    backends: [{kind: %s, url: %q, model: %s}]\n", name, kind, peer.EngineSlots, kind, url, name)
			if name == "absent" {
				text.WriteString("    warm_up: {at: never}\n")
			}
		}
	}
	return startGateway(t, text.String())
}

// A real engine is behind the gateway: what it says is what clients read, and what they do reaches it.
func TestARealEngine(t *testing.T) {
	t.Parallel()
	p := peer.ServeEngine(t)
	g := bothProtocols(t, p.URL)
	c := func(t *testing.T) *invoker { return &invoker{t: t, url: endpoint(g, "/rpc")} }
	t.Run("alive", func(t *testing.T) {
		for _, kind := range []string{"openai", "ollama"} {
			t.Run(kind, func(t *testing.T) {
				t.Run("answers", func(t *testing.T) { engineAnswers(c(t), peer.TinyModel+"-"+kind) })
				t.Run("remembers", func(t *testing.T) { engineRemembers(c(t), peer.TinyModel+"-"+kind, kind == "ollama") })
				t.Run("has no such model", func(t *testing.T) { engineLacks(c(t), "absent-"+kind) })
				t.Run("slots", func(t *testing.T) { engineSlots(c(t), peer.SlowModel+"-"+kind) })
			})
		}
	})
	t.Run("killed", func(t *testing.T) { engineDies(c(t), p, peer.SlowModel+"-openai", peer.SlowModel+"-ollama") })
}

// engineAnswers asks at once and in parts: it is the same text, and the same usage.
func engineAnswers(c *invoker, model string) {
	params := map[string]any{"model": model, "prompt": "hello world", "max_tokens": 12, "temperature": 0}
	whole, _, _ := c.ask("invoke", params)
	params["stream"] = true
	parts, text, chunks := c.ask("invoke", params)
	for _, o := range []object{whole, parts} {
		if u := o.Result.Usage; u == nil || u.Input < 5 || u.Output != 12 || u.Estimated || o.Result.FinishReason != "length" {
			c.t.Errorf("%+v, usage %+v", o, u)
		}
	}
	if whole.Result.Model != model || whole.Result.Output == "" || text != whole.Result.Output || chunks < 2 {
		c.t.Errorf("in %d parts %q, at once %q of %q", chunks, text, whole.Result.Output, whole.Result.Model)
	}
	if native := strings.HasSuffix(model, "-ollama"); native != (len(whole.Result.Context) > 0) || native != (parts.Result.LoadDuration > 0) {
		c.t.Errorf("context %v, load duration %d", whole.Result.Context, parts.Result.LoadDuration)
	}
}

// engineRemembers has a session carry what was said before, and the engine's own context where it has one.
func engineRemembers(c *invoker, model string, native bool) {
	hello, _, _ := c.ask("initialize", map[string]any{"session": map[string]any{"history": true}})
	if c.session = hello.Result.SessionID; c.session == "" {
		c.t.Fatalf("%+v", hello)
	}
	var inputs []int64
	var context []int
	for range 3 {
		o, _, _ := c.ask("invoke", map[string]any{"model": model, "prompt": "hello world", "max_tokens": 5})
		if o.Error != nil {
			c.t.Fatal(o.Error)
		}
		inputs = append(inputs, o.Result.Usage.Input)
		if native && len(o.Result.Context) <= len(context) {
			c.t.Errorf("a context of %d tokens after one of %d", len(o.Result.Context), len(context))
		}
		context = o.Result.Context
	}
	if inputs[0] >= inputs[1] || inputs[1] >= inputs[2] {
		c.t.Errorf("prompts of %d tokens: what was said before is not in them", inputs)
	}
}

// engineLacks asks for a model that the engine does not have.
func engineLacks(c *invoker, model string) {
	for _, stream := range []bool{false, true} {
		o, _, _ := c.ask("invoke", map[string]any{"model": model, "prompt": "a", "stream": stream})
		if o.Error == nil || o.Error.Code != -32007 || !strings.Contains(o.Error.Message, "does not have the model") {
			c.t.Errorf("%+v %+v", o, o.Error)
		}
	}
}

// engineSlots takes all slots with streams: a further call waits, and gets the slot of a client that leaves.
func engineSlots(c *invoker, model string) {
	long := map[string]any{"model": model, "prompt": "a", "max_tokens": 4000, "stream": true}
	leave := make([]context.CancelFunc, peer.EngineSlots)
	for i := range leave {
		ctx, cancel := context.WithCancel(c.t.Context())
		defer cancel()
		leave[i] = cancel
		resp := c.open(ctx, "invoke", long)
		defer resp.Body.Close()
		if o, err := c.next(bufio.NewReader(resp.Body)); err != nil || o.Result.Chunk == nil {
			c.t.Fatalf("%+v %v", o, err)
		}
	}
	answered := make(chan object, 1)
	go func() {
		o, _, _ := (&invoker{t: c.t, url: c.url}).ask("invoke", map[string]any{"model": model, "prompt": "b", "max_tokens": 3})
		answered <- o
	}()
	for waiting := 0; waiting == 0; {
		select {
		case o := <-answered:
			c.t.Fatalf("it was answered while all slots were taken: %+v", o)
		case <-time.After(5 * time.Millisecond):
		}
		_, waiting = c.inFlight(model)
	}
	leave[0]()
	if o := <-answered; o.Error != nil || o.Result.Usage.Output != 3 {
		c.t.Errorf("%+v %+v", o, o.Error)
	}
	for i := range leave {
		leave[i]()
	}
	for running := 1; running > 0; {
		running, _ = c.inFlight(model)
	}
}

// engineDies kills the engine in the middle of streams: they end with an error, and so do calls after them.
func engineDies(c *invoker, p *peer.Process, models ...string) {
	var streams []*bufio.Reader
	for _, model := range models {
		resp := c.open(c.t.Context(), "invoke", map[string]any{"model": model, "prompt": "a", "max_tokens": 4000, "stream": true})
		defer resp.Body.Close()
		r := bufio.NewReader(resp.Body)
		if o, err := c.next(r); err != nil || o.Result.Chunk == nil {
			c.t.Fatalf("%+v %v", o, err)
		}
		streams = append(streams, r)
	}
	p.Kill()
	for i, r := range streams {
		o, err := c.next(r)
		for err == nil && o.Result.Chunk != nil {
			o, err = c.next(r)
		}
		if err != nil || o.Error == nil || o.Error.Code != -32007 || o.Done {
			c.t.Errorf("%s ended with %+v %+v, %v", models[i], o, o.Error, err)
		}
		if o, err = c.next(r); err == nil {
			c.t.Errorf("%s: %+v after the end", models[i], o)
		}
		if o, _, _ = c.ask("invoke", map[string]any{"model": models[i], "prompt": "a"}); o.Error == nil || o.Error.Code != -32006 {
			c.t.Errorf("%s: %+v %+v", models[i], o, o.Error)
		}
	}
}
