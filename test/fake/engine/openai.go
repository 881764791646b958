package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// openAI is the dialect of OpenAI's API as vLLM serves it.
type openAI struct{ chat bool }

// openAIParams are the members of a request that the engine understands.
type openAIParams struct {
	Model     string
	Messages  []message
	Prompt    json.RawMessage
	Stream    bool
	MaxTokens int `json:"max_tokens"`
	// The newer name.
	MaxCompletionTokens int `json:"max_completion_tokens"`
	N                   int
	Stop                json.RawMessage
	IgnoreEOS           bool `json:"ignore_eos"`
	Seed                int64
	StreamOptions       struct {
		IncludeUsage bool `json:"include_usage"`
		Continuous   bool `json:"continuous_usage_stats"`
	} `json:"stream_options"`
}

// message is one of a chat. Its content is a text or a list of parts.
type message struct {
	Role    string
	Content json.RawMessage
}

// text is what a message says, with its role, so that a chat begins as the chat did that it continues.
func (m message) text() string {
	var text string
	if json.Unmarshal(m.Content, &text) == nil {
		return m.Role + "\n" + text + "\n"
	}
	var parts []struct{ Text string }
	_ = json.Unmarshal(m.Content, &parts) // parts that have no text count for nothing
	for _, part := range parts {
		text += part.Text
	}
	return m.Role + "\n" + text + "\n"
}

func parseChat(body []byte) (*Request, error) {
	p, r, err := parseOpenAI(body)
	if err != nil {
		return nil, err
	}
	if len(p.Messages) == 0 {
		return nil, errors.New("messages: at least one is required")
	}
	for _, m := range p.Messages {
		r.Text += m.text()
	}
	r.Messages = len(p.Messages)
	return r, nil
}

func parseCompletion(body []byte) (*Request, error) {
	p, r, err := parseOpenAI(body)
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(p.Prompt, &r.Text) == nil {
		return r, nil
	}
	var several []string
	if json.Unmarshal(p.Prompt, &several) == nil && len(several) == 1 {
		r.Text = several[0]
		return r, nil
	}
	if json.Unmarshal(p.Prompt, &r.Context) == nil && len(r.Context) > 0 {
		return r, nil
	}
	return nil, errors.New("prompt: a string, a list of one string or a list of tokens is required")
}

func parseOpenAI(body []byte) (*openAIParams, *Request, error) {
	p := &openAIParams{N: 1}
	if err := json.Unmarshal(body, p); err != nil {
		return nil, nil, fmt.Errorf("body: %w", err)
	}
	limit := max(p.MaxTokens, p.MaxCompletionTokens)
	if p.N < 1 || p.N > 16 || p.MaxTokens < 0 || p.MaxCompletionTokens < 0 {
		return nil, nil, errors.New("n must be 1 to 16, max_tokens not negative")
	}
	return p, &Request{
		Model: p.Model, Stream: p.Stream, MaxTokens: limit, Choices: p.N, Stop: stringOrList(p.Stop), IgnoreEOS: p.IgnoreEOS, Seed: p.Seed,
		IncludeUsage: p.StreamOptions.IncludeUsage, Continuous: p.StreamOptions.Continuous,
	}, nil
}

func (openAI) refuse(w http.ResponseWriter, r *refusal) {
	r.header(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.status)
	_, _ = w.Write(openAIError(r.message, r.status)) // the client left
}

func openAIError(message string, status int) []byte {
	kind := map[int]string{http.StatusBadRequest: "BadRequestError", http.StatusUnauthorized: "AuthenticationError", http.StatusNotFound: "NotFoundError"}[status]
	if kind == "" {
		kind = "InternalServerError"
	}
	out, _ := json.Marshal(map[string]any{"error": map[string]any{"message": message, "type": kind, "param": nil, "code": status}}) // plain data
	return out
}

func (openAI) garbage() string            { return "data: {\"choices\":[{\"ind\n\n" }
func (openAI) failure(text string) string { return "data: " + string(openAIError(text, 500)) + "\n\n" }

// usage is what a request has cost so far.
func (e *Entry) usage(output int) string {
	details := "null"
	if e.engine.config.PrefixCache {
		details = fmt.Sprintf(`{"cached_tokens":%d}`, e.cached())
	}
	prompt := len(e.Request.prompt)
	return fmt.Sprintf(`{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":%s}`, prompt, prompt+output, output, details)
}

func (d openAI) unary(w http.ResponseWriter, e *Entry, usage bool) {
	object, prefix := "text_completion", "cmpl-"
	if d.chat {
		object, prefix = "chat.completion", "chatcmpl-"
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `{"id":%q,"object":%q,"created":%d,"model":%s,"choices":[`, newID(prefix), object, time.Now().Unix(), quote(e.Request.Model))
	total := 0
	for choice, q := range e.sequences {
		if choice > 0 {
			out.WriteByte(',')
		}
		total += q.produced
		text := quote(e.text(q.produced))
		if d.chat {
			fmt.Fprintf(&out, `{"index":%d,"message":{"role":"assistant","content":%s,"refusal":null,"tool_calls":[]},"logprobs":null,"finish_reason":%q,"stop_reason":null}`, choice, text, e.reason)
		} else {
			fmt.Fprintf(&out, `{"index":%d,"text":%s,"logprobs":null,"finish_reason":%q,"stop_reason":null}`, choice, text, e.reason)
		}
	}
	out.WriteByte(']')
	if usage {
		out.WriteString(`,"usage":` + e.usage(total))
	}
	out.WriteByte('}')
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out.Bytes()) // the client left
}

// text is the answer so far.
func (e *Entry) text(n int) string {
	var out bytes.Buffer
	for i := range n {
		out.WriteString(e.token(i))
	}
	return out.String()
}

func quote(s string) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string never fails
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
