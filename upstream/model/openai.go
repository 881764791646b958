package model

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/upstream"
)

// promptsAsText is the value of the option prompts by which a prompt goes to /completions as it is, without the
// template of a chat.
const promptsAsText = "completions"

// openAI is a server that speaks as OpenAI's does: vLLM, SGLang, llama.cpp, Ollama below /v1, hosted ones.
type openAI struct {
	*web
	chat, completions, models, health *upstream.Endpoint

	healthless atomic.Bool // it has no /health
}

var _ Backend = (*openAI)(nil)

func newOpenAI(cfg config.ModelBackend, deps BackendDeps) (Backend, error) {
	w, err := newWeb(cfg, deps)
	if err != nil {
		return nil, err
	}
	o := &openAI{web: w}
	for suffix, to := range map[string]**upstream.Endpoint{"/chat/completions": &o.chat, "/completions": &o.completions, "/models": &o.models} {
		if *to, err = w.at(suffix); err != nil {
			return nil, err
		}
	}
	health := *w.url // which is no part of what is below /v1
	health.Path, health.RawPath, health.RawQuery = strings.TrimSuffix(strings.TrimSuffix(health.Path, "/"), "/v1")+"/health", "", ""
	o.health, err = upstream.NewEndpoint(&health, w.fixed)
	return o, err
}

// Handle implements [Backend].
func (o *openAI) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	v, err := read(c, &o.cfg)
	if err != nil {
		return nil, err
	}
	to, body, err := o.request(&v)
	if err != nil {
		return nil, err
	}
	accept := typeJSON
	if v.stream {
		accept = typeEvents
	}
	r := o.begin(ctx, c, &v)
	resp, err := o.post(r, to, accept, body)
	if err != nil {
		return nil, r.fail(err)
	}
	if v.stream {
		if err := o.expect(resp, typeEvents); err != nil {
			return nil, r.fail(err)
		}
		return r.stream(&openAIStream{p: &o.peer, resp: resp, events: frame.NewSSEReader(resp.Lent(), maxEvent)}), nil
	}
	answer, err := o.whole(resp)
	if err != nil {
		return nil, r.fail(err)
	}
	result, err := o.result(answer, &v, &r.tally)
	if err != nil {
		return nil, r.fail(err)
	}
	return r.respond(result), nil
}

// request writes what is sent, and says where to.
func (o *openAI) request(v *invocation) (to *upstream.Endpoint, body []byte, err error) {
	asText := v.messages == nil && o.cfg.Prompts == promptsAsText
	includeUsage := v.stream && o.cfg.StreamUsage
	w := writer{text: []byte{'{'}}
	v.params.Each(func(name string, value json.RawMessage) bool {
		switch {
		case name == "model":
			value = v.nameText()
		case name == "prompt" && v.messages != nil:
			return true
		case name == "prompt" && !asText:
			name, value = "messages", v.chat()
		case name == "stream_options" && includeUsage:
			return true
		}
		w.put(name, value)
		return true
	})
	if includeUsage {
		options, err := v.object("stream_options")
		if err != nil {
			return nil, nil, err
		}
		w.put("stream_options", options.With("include_usage", []byte("true")))
	}
	if asText {
		return o.completions, append(w.text, '}'), nil
	}
	return o.chat, append(w.text, '}'), nil
}

// Probe implements [Backend]: by /health where there is one, else by the list of models.
func (o *openAI) Probe(ctx context.Context) error {
	if !o.healthless.Load() {
		status, _, err := o.get(ctx, o.health)
		switch {
		case status == http.StatusOK:
			return nil
		case status == 0 || status >= 500 && status != http.StatusNotImplemented:
			return err
		}
		o.healthless.Store(true)
	}
	_, err := o.Models(ctx)
	return err
}

// Models returns the names of the models that the server says it has.
func (o *openAI) Models(ctx context.Context) ([]string, error) {
	_, body, err := o.get(ctx, o.models)
	if err != nil {
		return nil, err
	}
	return o.names(body, "data", "id")
}

// names reads a list of models.
func (w *web) names(body []byte, list, name string) ([]string, error) {
	answer, err := w.object(body)
	if err != nil {
		return nil, err
	}
	text, _ := answer.Get(list)
	items, err := rpc.Elements(text)
	if err != nil {
		return nil, w.fault.malformed(err, "a list of models")
	}
	var names []string
	for _, item := range items {
		if o, err := rpc.ReadObject(item); err == nil {
			if s, ok := o.Text(name); ok && s != "" {
				names = append(names, s)
			}
		}
	}
	return names, nil
}

// Warm implements [Backend].
func (o *openAI) Warm(ctx context.Context, model string) error {
	to, w := o.chat, writer{text: []byte{'{'}}
	w.string("model", model)
	if o.cfg.Prompts == promptsAsText { // a server may have no template for chats
		to = o.completions
		w.string("prompt", "hi")
	} else {
		w.add("messages", []byte(`[{"role":"user","content":"hi"}]`))
	}
	w.number("max_tokens", 1)
	return o.ask(ctx, to, append(w.text, '}'))
}
