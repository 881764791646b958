package model

import (
	"encoding/json"

	"github.com/headgate/headgate/rpc"
)

// What of an answer has a place of its own, or tells of the backend and not of the answer.
var (
	answerMembers  = []string{"id", "object", "created", "model", "choices", "usage"}
	choiceMembers  = []string{"index", "message", "delta", "text", "finish_reason"}
	messageMembers = []string{"content", "role"}
)

// choice is one of the texts that a model was asked for, or a piece of it.
type choice struct {
	whole   rpc.Object
	message rpc.Object      // of a chat: message or delta
	text    json.RawMessage // what the model says, nil for nothing
	index   int64
	finish  json.RawMessage // why it ended, nil if it has not
}

// readChoice takes an element of choices apart.
func (p *peer) readChoice(text []byte) (choice, error) {
	o, err := rpc.ReadObject(text)
	if err != nil || o.Len() > maxMembers {
		return choice{}, p.fault.malformed(err, "a choice")
	}
	k := choice{whole: o}
	k.index, _ = count(o, "index")
	k.finish = given(o, "finish_reason")
	k.text = given(o, "text")
	for _, name := range [...]string{"delta", "message"} {
		inner := given(o, name)
		if inner == nil {
			continue
		}
		if k.message, err = rpc.ReadObject(inner); err != nil || k.message.Len() > maxMembers {
			return choice{}, p.fault.malformed(err, "a message")
		}
		k.text = given(k.message, "content")
	}
	return k, nil
}

// given returns a member that is there and not null.
func given(o rpc.Object, name string) json.RawMessage {
	v, _ := o.Get(name)
	if string(v) == "null" {
		return nil
	}
	return v
}

// write writes a choice: what the model says under a name that depends on the form of the answer, and whatever else there is.
func (k *choice) write(w *writer, output string) {
	switch {
	case k.text == nil:
		w.add(output, []byte(`""`))
	case k.text[0] == '"':
		w.add(output, k.text)
	default: // parts instead of a text
		w.add(output, []byte(`""`))
		w.add("content", k.text)
	}
	if role := given(k.message, "role"); role != nil && string(role) != `"assistant"` {
		w.add("role", role)
	}
	w.rest(k.message, messageMembers...)
	w.rest(k.whole, choiceMembers...)
}

// made is how many bytes the model has written in a choice: tool calls and thoughts are made of tokens too.
func (k *choice) made() int {
	n := max(0, len(k.text)-len(`""`))
	k.message.Each(func(name string, value json.RawMessage) bool {
		if name != "content" && name != "role" && string(value) != "null" {
			n += len(value)
		}
		return true
	})
	return n
}

// result makes the result of an invocation of an answer that came as a whole.
func (o *openAI) result(answer rpc.Object, v *invocation, t *tally) ([]byte, error) {
	list, _ := answer.Get("choices")
	items, err := rpc.Elements(list)
	if err != nil || len(items) == 0 {
		return nil, o.fault.malformed(err, "an answer without choices")
	}
	w := writer{text: []byte{'{'}}
	w.string("model", v.shown)
	made := 0
	others := []byte{'['}
	for i, item := range items {
		k, err := o.readChoice(item)
		if err != nil {
			return nil, err
		}
		made += k.made()
		if i == 0 {
			k.write(&w, "output")
			w.optional("finish_reason", k.finish)
			continue
		}
		other := writer{text: []byte{'{'}}
		other.number("index", k.index)
		k.write(&other, "output")
		other.optional("finish_reason", k.finish)
		if len(others) > 1 {
			others = append(others, ',')
		}
		others = append(append(others, other.text...), '}')
	}
	t.piece(made)
	o.readUsage(answer, t)
	w.add("usage", t.text())
	if len(items) > 1 {
		w.add("choices", append(others, ']'))
	}
	w.rest(answer, answerMembers...)
	return append(w.text, '}'), nil
}

// readUsage takes what a server says of tokens. Any part of an answer may say it.
func (p *peer) readUsage(answer rpc.Object, t *tally) {
	text := given(answer, "usage")
	if text == nil {
		return
	}
	usage, err := rpc.ReadObject(text)
	if err != nil || usage.Len() > maxMembers {
		return
	}
	t.say(usage, "prompt_tokens", "completion_tokens")
	t.extra = keep(t.extra[:0], usage, "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details")
	details, err := rpc.ReadObject(given(usage, "prompt_tokens_details"))
	if err != nil {
		return
	}
	if n, ok := count(details, "cached_tokens"); ok {
		t.cached(n)
	}
	if details.Len() > 1 {
		t.extra = append(t.extra, member{"prompt_tokens_details", details.Without("cached_tokens")})
	}
}
