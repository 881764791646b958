package model

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/upstream"
)

// ollama is a server that speaks Ollama's own protocol, whose answers carry the context of a conversation and tell how
// long the model took to load.
type ollama struct {
	*web
	generate, chat, tags *upstream.Endpoint
}

var _ Backend = (*ollama)(nil)

func newOllama(cfg config.ModelBackend, deps BackendDeps) (Backend, error) {
	w, err := newWeb(cfg, deps)
	if err != nil {
		return nil, err
	}
	o := &ollama{web: w}
	for suffix, to := range map[string]**upstream.Endpoint{"/api/generate": &o.generate, "/api/chat": &o.chat, "/api/tags": &o.tags} {
		if *to, err = w.at(suffix); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// Handle implements [Backend].
func (o *ollama) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	v, err := read(c, &o.cfg)
	if err != nil {
		return nil, err
	}
	to := o.generate
	if v.messages != nil {
		to = o.chat
	}
	accept := typeJSON
	if v.stream {
		accept = typeLines
	}
	body, err := o.request(&v)
	if err != nil {
		return nil, err
	}
	r := o.begin(ctx, c, &v)
	resp, err := o.post(r, to, accept, body)
	if err != nil {
		return nil, r.fail(err)
	}
	if v.stream {
		if err := o.expect(resp, typeLines); err != nil {
			return nil, r.fail(err)
		}
		return r.stream(&ollamaStream{p: &o.peer, resp: resp, lines: frame.NewLineReader(resp.Lent(), maxLine)}), nil
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

// options are the parameters that have another name or another place with Ollama, which takes them as options of the model.
var options = map[string]string{
	"max_tokens": "num_predict", "max_completion_tokens": "num_predict", "stop": "stop", "temperature": "temperature", "top_p": "top_p", "top_k": "top_k",
	"min_p": "min_p", "seed": "seed", "presence_penalty": "presence_penalty", "frequency_penalty": "frequency_penalty",
	"repeat_penalty": "repeat_penalty",
}

// request writes what is sent. What the client has put into options itself counts more, but for the length of the answer,
// which is reserved by what the dialect calls it.
func (o *ollama) request(v *invocation) ([]byte, error) {
	w := writer{text: []byte{'{'}}
	own := writer{text: []byte{'{'}}
	own.optional("num_predict", given(v.params, "max_tokens"))
	more, err := v.object("options")
	if err != nil {
		return nil, err
	}
	own.rest(more)
	streams := false
	v.params.Each(func(name string, value json.RawMessage) bool {
		option, moved := options[name]
		switch {
		case moved && name == "stop" && value[0] == '"':
			own.add(option, slices.Concat([]byte{'['}, value, []byte{']'})) // a list is all that it reads
			return true
		case moved:
			own.add(option, value)
			return true
		case name == "options", name == "prompt" && v.messages != nil, name == "keep_alive" && o.cfg.KeepAlive > 0:
			return true
		case name == "model":
			value = v.nameText()
		case name == "stream":
			streams = true
		}
		w.put(name, value)
		return true
	})
	if !streams {
		w.put("stream", []byte("false")) // it streams where nothing is said
	}
	if o.cfg.KeepAlive > 0 { // whatever the client says: others want the model too
		w.put("keep_alive", o.keepAlive())
	}
	if len(own.names) > 0 {
		w.put("options", append(own.text, '}'))
	}
	return append(w.text, '}'), nil
}

// keepAlive returns how long the model stays loaded.
func (o *ollama) keepAlive() []byte { return rpc.AppendString(nil, o.cfg.KeepAlive.String()) }

// Probe implements [Backend].
func (o *ollama) Probe(ctx context.Context) error {
	_, err := o.Models(ctx)
	return err
}

// Models returns the names of the models that the server has.
func (o *ollama) Models(ctx context.Context) ([]string, error) {
	_, body, err := o.get(ctx, o.tags)
	if err != nil {
		return nil, err
	}
	return o.names(body, "models", "name")
}

// Warm implements [Backend].
func (o *ollama) Warm(ctx context.Context, model string) error {
	w := writer{text: []byte(`{`)}
	w.string("model", model)
	w.string("prompt", "hi")
	w.add("stream", []byte("false"))
	w.add("options", []byte(`{"num_predict":1}`))
	if o.cfg.KeepAlive > 0 {
		w.add("keep_alive", o.keepAlive())
	}
	return o.ask(ctx, o.generate, append(w.text, '}'))
}
