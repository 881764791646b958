package model

import (
	"encoding/json"
	"slices"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// invocation is what a client wants of a model, as the gateway has edited it. Values are texts of JSON, as they were written.
type invocation struct {
	params   rpc.Object
	bytes    int    // of the params
	name     string // of the model, at the backend
	shown    string // of the model, in the answer
	prompt   json.RawMessage
	messages json.RawMessage
	stream   bool
	limit    int64 // tokens of the answer, or of all of them; 0 for none
	answers  int64 // that are wanted
}

// read takes a call apart. The router has checked what the dialect's schema says.
func read(c *rpc.Call, cfg *config.ModelBackend) (invocation, error) {
	text := c.Message.AppendParams(nil)
	o, err := rpc.ReadObject(text)
	if err != nil {
		return invocation{}, rpc.Errorf(rpc.InvalidParams, "params: %w", err)
	}
	v := invocation{params: o, bytes: len(text), name: cfg.Model, shown: c.Target.Canonical}
	if v.name == "" {
		v.name = c.Target.Own
	}
	v.prompt, _ = o.Get("prompt")
	v.messages, _ = o.Get("messages")
	if v.prompt == nil && v.messages == nil {
		return invocation{}, rpc.Errorf(rpc.InvalidParams, "params need a prompt or messages")
	}
	stream, _ := o.Get("stream")
	v.stream = string(stream) == "true"
	v.limit, v.answers = v.most()
	return v, nil
}

// most is how many tokens the answers can have at most, of all that the parameters say, and how many there can be; 0 tokens if they say
// nothing. What is no number is the backend's to judge. Options say nothing beside max_tokens.
func (v *invocation) most() (tokens, answers int64) {
	bound, answers := int64(0), int64(1)
	var own rpc.Object
	if given(v.params, "max_tokens") == nil {
		own, _ = rpc.ReadObject(given(v.params, "options"))
	}
	for _, name := range [...]string{"max_tokens", "max_completion_tokens", "max_new_tokens", "num_predict", "n_predict"} {
		for _, o := range [...]rpc.Object{v.params, own} {
			n, _ := count(o, name)
			bound = max(bound, n)
		}
	}
	for _, name := range [...]string{"n", "best_of", "num_return_sequences"} {
		n, _ := count(v.params, name)
		answers = max(answers, min(n, maxAnswers))
	}
	return bound * answers, answers
}

// maxAnswers is how many answers to one prompt are counted with.
const maxAnswers = 1 << 10

// size is how much there is for the model to work on, in bytes: what a chat is written in becomes tokens, too.
func (v *invocation) size() int {
	if v.messages != nil {
		return len(v.messages)
	}
	return len(chatBegin) + len(v.prompt) + len(chatEnd)
}

// What makes a conversation of a prompt.
const (
	chatBegin = `[{"role":"user","content":`
	chatEnd   = `}]`
)

// object returns a parameter that has to be an object, where the gateway has something to add to it. It is empty where there is none.
func (v *invocation) object(name string) (rpc.Object, error) {
	text := given(v.params, name)
	if text == nil {
		text = json.RawMessage("{}")
	}
	o, err := rpc.ReadObject(text)
	if err != nil {
		return o, rpc.Errorf(rpc.InvalidParams, "params.%s: %w", name, err)
	}
	return o, nil
}

// nameText returns the name of the model at the backend as JSON.
func (v *invocation) nameText() []byte { return rpc.AppendString(nil, v.name) }

// chat returns the messages of the conversation; a prompt is a conversation of one.
func (v *invocation) chat() []byte {
	if v.messages != nil {
		return v.messages
	}
	return slices.Concat([]byte(chatBegin), v.prompt, []byte(chatEnd))
}
