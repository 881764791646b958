package sampling

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/headgate/headgate/rpc"
)

// params writes a question (MCP 2025-11-25, Sampling, Creating Messages) as the params of an invoke. The error is for the server.
func (s *Sampler) params(q *rpc.Message) (json.RawMessage, error) {
	most, err := s.limit(q)
	if err != nil {
		return nil, err
	}
	messages, err := messagesOf(q)
	if err != nil {
		return nil, err
	}
	out := rpc.AppendString([]byte(`{"model":`), s.model(q))
	out = append(append(out, `,"messages":`...), messages...)
	out = strconv.AppendInt(append(out, `,"max_tokens":`...), most, 10)
	for _, member := range []struct{ from, to string }{{"temperature", "temperature"}, {"stopSequences", "stop"}} {
		if value, ok := q.Get(member.from); ok {
			out = append(append(append(out, `,"`...), member.to...), `":`...)
			out = append(out, value...)
		}
	}
	return append(out, '}'), nil
}

// limit returns how many tokens the answer may have.
func (s *Sampler) limit(q *rpc.Message) (int64, error) {
	text, ok := q.Get("maxTokens")
	if !ok {
		return int64(s.MaxTokens), nil
	}
	asked, err := strconv.ParseFloat(string(text), 64)
	if err != nil || asked < 1 {
		return 0, fmt.Errorf("maxTokens must be a positive number")
	}
	return int64(min(asked, float64(s.MaxTokens))), nil
}

// model returns the model for a question: the first to which a hint leads, in the order of the hints (MCP 2025-11-25, Sampling, Model
// Preferences). Priorities between cost, speed and intelligence are the operator's, who names the model.
func (s *Sampler) model(q *rpc.Message) string {
	preferences, _ := q.Get("modelPreferences")
	o, err := rpc.ReadObject(preferences)
	if err != nil {
		return s.Model
	}
	list, _ := o.Get("hints")
	hints, err := rpc.Elements(list)
	if err != nil {
		return s.Model
	}
	for _, text := range hints {
		hint, err := rpc.ReadObject(text)
		if err != nil {
			continue
		}
		if name, _ := hint.Text("name"); name != "" {
			if model := s.Choose(name); model != "" {
				return model
			}
		}
	}
	return s.Model
}

// messagesOf returns the conversation of a question, which begins with the system prompt if there is one.
func messagesOf(q *rpc.Message) (json.RawMessage, error) {
	if _, ok := q.Get("tools"); ok {
		return nil, fmt.Errorf("tools are not offered: the gateway declares sampling without them")
	}
	list, _ := q.Get("messages")
	items, err := rpc.Elements(list)
	if err != nil || len(items) == 0 {
		return nil, fmt.Errorf("messages must be a list of at least one")
	}
	var out [][]byte
	if system, ok := q.Text("systemPrompt"); ok && system != "" {
		out = append(out, message("system", system))
	}
	for i, item := range items {
		o, err := rpc.ReadObject(item)
		if err != nil {
			return nil, fmt.Errorf("messages[%d]: %w", i, err)
		}
		role, _ := o.Text("role")
		if role != "user" && role != "assistant" {
			return nil, fmt.Errorf("messages[%d].role must be user or assistant", i)
		}
		content, _ := o.Get("content")
		text, err := textOf(content)
		if err != nil {
			return nil, fmt.Errorf("messages[%d].content: %w", i, err)
		}
		out = append(out, message(role, text))
	}
	return append(append([]byte{'['}, bytes.Join(out, []byte{','})...), ']'), nil
}

// textOf returns the text of a block, or of a list of blocks, which is joined.
func textOf(content json.RawMessage) (string, error) {
	blocks := []json.RawMessage{content}
	if len(content) > 0 && content[0] == '[' {
		var err error
		if blocks, err = rpc.Elements(content); err != nil {
			return "", err
		}
	}
	var all strings.Builder
	for i, block := range blocks {
		o, err := rpc.ReadObject(block)
		if err != nil {
			return "", err
		}
		if kind, _ := o.Text("type"); kind != "text" {
			return "", fmt.Errorf("only text can be sampled here, not %s", rpc.Excerpt(kind))
		}
		text, ok := o.Text("text")
		if !ok {
			return "", fmt.Errorf("text is missing")
		}
		if i > 0 {
			all.WriteString("\n")
		}
		all.WriteString(text)
	}
	return all.String(), nil
}

func message(role, text string) []byte {
	out := rpc.AppendString([]byte(`{"role":`), role)
	return append(rpc.AppendString(append(out, `,"content":`...), text), '}')
}
