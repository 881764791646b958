package engine

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// ollama is the native dialect of Ollama: lines of JSON, and an answer is a stream unless it is asked not to be.
type ollama struct{ chat bool }

type ollamaParams struct {
	Model     string
	Prompt    string
	System    string
	Messages  []message
	Context   []uint32
	Stream    *bool
	KeepAlive json.RawMessage `json:"keep_alive"`
	Options   struct {
		NumPredict int `json:"num_predict"`
		Stop       json.RawMessage
		Seed       int64
	}
}

func parseGenerate(body []byte) (*Request, error) {
	p, r, err := parseOllama(body)
	if err != nil {
		return nil, err
	}
	r.Context, r.Text = p.Context, p.System+p.Prompt
	return r, nil
}

func parseOllamaChat(body []byte) (*Request, error) {
	p, r, err := parseOllama(body)
	if err != nil {
		return nil, err
	}
	for _, m := range p.Messages {
		r.Text += m.text()
	}
	r.Messages = len(p.Messages)
	return r, nil
}

func parseOllama(body []byte) (*ollamaParams, *Request, error) {
	p := &ollamaParams{}
	if err := json.Unmarshal(body, p); err != nil {
		return nil, nil, fmt.Errorf("body: %w", err)
	}
	keep, err := keepAlive(p.KeepAlive)
	if err != nil {
		return nil, nil, err
	}
	return p, &Request{
		Model: p.Model, Stream: p.Stream == nil || *p.Stream, MaxTokens: max(0, p.Options.NumPredict), Choices: 1,
		Stop: stringOrList(p.Options.Stop), Seed: p.Options.Seed, KeepAlive: keep,
	}, nil
}

// keepAlive reads a duration ("5m") or seconds; a negative one is for ever.
func keepAlive(raw json.RawMessage) (*time.Duration, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var number float64
	if json.Unmarshal(raw, &number) == nil {
		d := time.Duration(number * float64(time.Second))
		return &d, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, fmt.Errorf("keep_alive: %w", err)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("keep_alive: %w", err)
	}
	return &d, nil
}

// loadsOnly is true of an empty prompt, by which Ollama's clients load and unload models.
func (r *Request) loadsOnly() bool {
	return strings.HasPrefix(r.Path, "/api/") && r.Text == "" && len(r.Context) == 0
}

// loadOnly loads a model, or unloads it with keep_alive 0, and answers when that is done.
func (e *Engine) loadOnly(w http.ResponseWriter, hr *http.Request, r *Request) {
	e.mu.Lock()
	now := time.Now()
	reason, ready := "load", now
	if r.KeepAlive != nil && *r.KeepAlive == 0 {
		reason = "unload"
		e.load(r.served, now)
		e.models[r.served].ready = time.Time{}
	} else {
		ready = e.load(r.served, now)
	}
	e.mu.Unlock()
	timer := time.NewTimer(time.Until(ready))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hr.Context().Done():
	}
	e.mu.Lock()
	e.release(r.served, r.KeepAlive)
	e.mu.Unlock()
	answer := map[string]any{"model": r.Model, "created_at": stamp(), "done": true, "done_reason": reason}
	if r.Path == "/api/chat" {
		answer["message"] = map[string]string{"role": "assistant", "content": ""}
	} else {
		answer["response"] = ""
	}
	writeJSON(w, answer)
}

func stamp() string { return time.Now().UTC().Format(time.RFC3339Nano) }

func (ollama) refuse(w http.ResponseWriter, r *refusal) {
	r.header(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.status)
	_, _ = w.Write([]byte(ollama{}.failure(r.message))) // the client left
}

func (ollama) garbage() string { return "{\"model\":\"si\n" }

func (ollama) failure(text string) string { return `{"error":` + string(quote(text)) + "}\n" }

func (d ollama) unary(w http.ResponseWriter, e *Entry, usage bool) {
	s := &lines{w: w, entry: e, chat: d.chat}
	s.last(e.text(e.sequences[0].produced), usage)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(s.buf) // the client left
}

func (d ollama) stream(w http.ResponseWriter, e *Entry) writer {
	w.Header().Set("Content-Type", "application/x-ndjson")
	return &lines{w: w, entry: e, chat: d.chat}
}

// lines writes an answer as lines of JSON, one for each token and one at the end.
type lines struct {
	w     http.ResponseWriter
	entry *Entry
	chat  bool
	buf   []byte
}

func (s *lines) open(text string, done bool) {
	s.buf = fmt.Appendf(s.buf, `{"model":%s,"created_at":%q,`, quote(s.entry.Request.Model), stamp())
	if s.chat {
		s.buf = fmt.Appendf(s.buf, `"message":{"role":"assistant","content":%s},"done":%t`, quote(text), done)
		return
	}
	s.buf = fmt.Appendf(s.buf, `"response":%s,"done":%t`, quote(text), done)
}

func (s *lines) token(_, i int) {
	s.open(s.entry.token(i), false)
	s.buf = append(s.buf, "}\n"...)
}

func (s *lines) done(int) {}

func (s *lines) end(usage bool) { s.last("", usage) }

// last writes the object that ends an answer. A sequence that is over changes no more.
func (s *lines) last(text string, usage bool) {
	e, q := s.entry, s.entry.sequences[0]
	s.open(text, true)
	s.buf = fmt.Appendf(s.buf, `,"done_reason":%q`, e.reason)
	if !s.chat {
		context, _ := json.Marshal(e.context(q.produced)) // plain data
		s.buf = fmt.Appendf(s.buf, `,"context":%s`, context)
	}
	s.buf = fmt.Appendf(s.buf, `,"total_duration":%d,"load_duration":%d`, q.ended.Sub(e.arrived), e.loading)
	if usage {
		s.buf = fmt.Appendf(s.buf, `,"prompt_eval_count":%d,"prompt_eval_duration":%d,"eval_count":%d,"eval_duration":%d`,
			len(q.prompt), q.first.Sub(q.admitted), q.produced, q.ended.Sub(q.first))
	}
	s.buf = append(s.buf, "}\n"...)
}

// context is all tokens so far, which a later request goes on from.
func (e *Entry) context(produced int) []uint32 {
	all := append([]uint32{}, e.Request.prompt...)
	for i := range produced {
		all = append(all, hash(e.token(i)))
	}
	return all
}

func (s *lines) raw(text string) { s.buf = append(s.buf, text...) }

func (s *lines) flush() {
	_, _ = s.w.Write(s.buf) // the client left
	s.buf = s.buf[:0]
	_ = http.NewResponseController(s.w).Flush() // likewise
}

func (e *Engine) listTags(w http.ResponseWriter, _ *http.Request) {
	list := []map[string]any{}
	for _, name := range e.config.Models {
		list = append(list, map[string]any{"name": name + ":latest", "model": name + ":latest", "size": 1 << 20, "digest": fmt.Sprintf("%08x", hash(name))})
	}
	writeJSON(w, map[string]any{"models": list})
}

func (e *Engine) listLoaded(w http.ResponseWriter, _ *http.Request) {
	list := []map[string]any{}
	e.mu.Lock()
	for _, name := range e.config.Models {
		if e.loaded(name, time.Now()) {
			list = append(list, map[string]any{"name": name + ":latest", "model": name + ":latest"})
		}
	}
	e.mu.Unlock()
	writeJSON(w, map[string]any{"models": list})
}
