package infer

import (
	"encoding/json"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Invocation is what the gateway reads of the params of invoke. All else in them is the
// backend's. Its raw parts lie in the memory of the message.
type Invocation struct {
	Model       string
	Prompt      json.RawMessage // the text of a JSON string; nil if there are messages
	Messages    json.RawMessage // the text of an array of objects; nil if there is a prompt
	Stream      bool
	MaxTokens   int64 // 0 if the client did not say
	Most        int64 // tokens that the answer can have; 0 if the client did not say, or said something that can make it more
	Temperature float64
	Tempered    bool // the client said a temperature
}

// PromptText returns the prompt; false where there is none, or one with half characters in it.
func (i *Invocation) PromptText() (string, bool) {
	s, err := rpc.Unquote(i.Prompt)
	return s, err == nil
}

// ReadInvocation reads the params of invoke, or of a call that is run as one. The error is one of the client's.
func ReadInvocation(m *rpc.Message) (Invocation, error) {
	p := paramsOf(m)
	out := p.invocation()
	return out, p.err
}

func (p *params) invocation() Invocation {
	out := Invocation{
		Model:     p.text("model", MaxModel),
		Stream:    p.flag("stream", false),
		MaxTokens: p.count("max_tokens", 1, MaxTokens),
	}
	if out.Model == "" {
		p.fail("model", "the name of a model")
	}
	out.Most = out.MaxTokens
	for name, harmless := range lengthening {
		if v, said := p.get(name); said && string(v) != harmless {
			out.Most = 0
		}
	}
	out.Temperature, out.Tempered = p.number("temperature")
	p.stop()
	out.Prompt, out.Messages = p.said()
	return out
}

// lengthening are parameters of backends that ask for several answers, or say in another way how long one may be, which counts more
// with some than max_tokens does; each with the value with which it does no such thing.
var lengthening = map[string]string{
	"n": "1", "best_of": "1", "num_return_sequences": "1", "max_completion_tokens": "", "max_new_tokens": "", "num_predict": "", "n_predict": "",
}

// said returns what the model is told: a prompt or messages, and not both.
func (p *params) said() (prompt, messages json.RawMessage) {
	prompt, prompted := p.of.Get("prompt") // null is no prompt: who serves the call would see two things said
	messages, conversing := p.of.Get("messages")
	switch {
	case prompted == conversing:
		p.fail("prompt", "there, or else params.messages, and not both of them")
	case prompted && prompt[0] != '"':
		p.fail("prompt", "a string")
	case conversing:
		p.messages(messages)
	}
	return prompt, messages
}

func (p *params) messages(text json.RawMessage) {
	elements, err := rpc.Elements(text)
	if err != nil || len(elements) == 0 {
		p.fail("messages", "an array of at least one object")
		return
	}
	for _, e := range elements {
		if e[0] != '{' {
			p.fail("messages", "an array of objects")
			return
		}
	}
}

// stop checks the sequences that end the answer.
func (p *params) stop() {
	v, ok := p.get("stop")
	if !ok || v[0] == '"' {
		return
	}
	elements, err := rpc.Elements(v)
	if err != nil || len(elements) > maxStops {
		p.fail("stop", "a string, or an array of at most 64 strings")
		return
	}
	for _, e := range elements {
		if e[0] != '"' {
			p.fail("stop", "a string, or an array of strings")
			return
		}
	}
}

// Submission is what the gateway reads of the params of invoke_async.
type Submission struct {
	Invocation
	Key      string        // of which there is one job; empty for none
	Deadline time.Duration // from now until when the job has to be done; 0 for none
}

// ReadSubmission reads the params of invoke_async.
func ReadSubmission(m *rpc.Message) (Submission, error) {
	p := paramsOf(m)
	out := Submission{Invocation: p.invocation(), Key: p.text("idempotency_key", MaxKey), Deadline: p.lasting("deadline", maxTime)}
	if out.Stream {
		p.fail("stream", "left out: nobody reads along")
	}
	return out, p.err
}
