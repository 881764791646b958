package mcpserver

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
)

// script is a server over HTTP that answers with what the test says, and keeps what it
// received.
type script struct {
	mu       sync.Mutex
	received []received
	discover func(w http.ResponseWriter, id string) // by default a legacy server's refusal
	initial  func(w http.ResponseWriter, id string)
	answer   func(w http.ResponseWriter, r received)
	get      func(w http.ResponseWriter, r *http.Request) // by default 405
}

type received struct {
	verb   string
	header http.Header
	body   string
	id     string // as text of JSON
	method string
	token  string
	ctx    context.Context
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	got := received{verb: r.Method, header: r.Header.Clone(), body: string(body), ctx: r.Context()}
	var m request
	_ = json.Unmarshal(body, &m)
	got.id, got.method, got.token = string(m.ID), m.Method, string(m.params().Meta.Token)
	s.mu.Lock()
	s.received = append(s.received, got)
	s.mu.Unlock()
	switch {
	case r.Method == http.MethodGet && s.get != nil:
		s.get(w, r)
	case r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case m.Method == "server/discover" && s.discover != nil:
		s.discover(w, got.id)
	case m.Method == "server/discover":
		http.Error(w, "Bad Request: Mcp-Session-Id header is required", http.StatusBadRequest)
	case m.Method == "initialize" && s.initial != nil:
		s.initial(w, got.id)
	case m.Method == "initialize":
		w.Header().Set("Mcp-Session-Id", "session-1")
		answerJSON(w, 200, initialized(got.id))
	case m.ID == nil || m.Method == "":
		w.WriteHeader(http.StatusAccepted)
	default:
		s.answer(w, got)
	}
}

func initialized(id string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}}`
}

// discovered answers the probe as a modern server.
func discovered(w http.ResponseWriter, id string) {
	answerJSON(w, 200, `{"jsonrpc":"2.0","id":`+id+`,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"public"}}`)
}

func answerJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func answerEvents(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range events {
		_, _ = io.WriteString(w, e)
		w.(http.Flusher).Flush()
	}
}

func (s *script) find(verb, method string) []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []received
	for _, r := range s.received {
		if r.verb == verb && (method == "" || r.method == method) {
			out = append(out, r)
		}
	}
	return out
}

func result(id, result string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"result":` + result + `}`
}
func event(data string) string { return "event: message\ndata: " + data + "\n\n" }
