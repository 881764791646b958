package engine

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxBody is the most bytes of one body that the engine reads.
const maxBody = 64 << 20

// dialect is how an engine is spoken to: what its errors look like and its answers.
type dialect interface {
	refuse(w http.ResponseWriter, r *refusal)
	unary(w http.ResponseWriter, e *Entry, usage bool)
	stream(w http.ResponseWriter, e *Entry) writer
	garbage() string
	failure(message string) string // in a stream
}

// writer writes a streamed answer.
type writer interface {
	token(choice, i int)
	done(choice int)
	end(usage bool)
	raw(text string)
	flush()
}

func (e *Engine) routes() {
	e.mux.HandleFunc("POST /v1/chat/completions", e.generate(openAI{chat: true}, parseChat))
	e.mux.HandleFunc("POST /v1/completions", e.generate(openAI{}, parseCompletion))
	e.mux.HandleFunc("GET /v1/models", e.guarded(e.listModels))
	e.mux.HandleFunc("POST /api/generate", e.generate(ollama{}, parseGenerate))
	e.mux.HandleFunc("POST /api/chat", e.generate(ollama{chat: true}, parseOllamaChat))
	e.mux.HandleFunc("GET /api/tags", e.listTags)
	e.mux.HandleFunc("GET /api/ps", e.listLoaded)
	e.mux.HandleFunc("GET /api/version", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]string{"version": "0.0.0-simulated"})
	})
	e.mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	e.mux.HandleFunc("GET /metrics", e.metrics)
}

// ServeHTTP implements http.Handler.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.mux.ServeHTTP(w, r) }

func (e *Engine) guarded(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if e.config.Key != "" && r.Header.Get("Authorization") != "Bearer "+e.config.Key {
			openAI{}.refuse(w, &refusal{status: http.StatusUnauthorized, message: "invalid API key"})
			return
		}
		serve(w, r)
	}
}

// generate serves what makes tokens.
func (e *Engine) generate(d dialect, parse func([]byte) (*Request, error)) http.HandlerFunc {
	return e.guarded(func(w http.ResponseWriter, hr *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, hr.Body, maxBody))
		if err != nil {
			d.refuse(w, &refusal{status: http.StatusBadRequest, message: "cannot read the body"})
			return
		}
		r, err := parse(body)
		if err != nil {
			d.refuse(w, &refusal{status: http.StatusBadRequest, message: err.Error()})
			return
		}
		r.ID, r.Path, r.Header = hr.Header.Get("X-Request-Id"), hr.URL.Path, hr.Header.Clone()
		if e.config.Record {
			r.Body = body
		}
		if r.served = strings.TrimSuffix(r.Model, ":latest"); e.models[r.served] == nil {
			d.refuse(w, &refusal{status: http.StatusNotFound, message: "The model `" + r.Model + "` does not exist."})
			return
		}
		e.serve(w, hr, d, r)
	})
}

func (e *Engine) serve(w http.ResponseWriter, hr *http.Request, d dialect, r *Request) {
	f := e.fault(r)
	if f == nil {
		f = &Fault{}
	}
	if r.loadsOnly() {
		e.loadOnly(w, hr, r)
		return
	}
	if f.Kind == Refuse {
		entry := &Entry{Request: r, engine: e, fault: f.Kind}
		d.refuse(w, e.refuse(entry, f.refusal()))
		return
	}
	entry, refused := e.start(r, f)
	if refused != nil {
		d.refuse(w, refused)
		return
	}
	e.mu.Lock()
	entry.fault = f.Kind
	e.mu.Unlock()
	if f.After == 0 && e.breaks(w, f.Kind) {
		e.abort(entry, 0)
		return
	}
	if r.Stream {
		e.serveStream(w, hr, d, entry, f)
		return
	}
	e.serveUnary(w, hr, d, entry, f)
}

func (e *Engine) serveUnary(w http.ResponseWriter, hr *http.Request, d dialect, entry *Entry, f *Fault) {
	e.follow(hr.Context(), entry, func(produced []int, over bool) bool {
		if f.strikes() && (over || produced[0] >= f.After) {
			switch {
			case e.breaks(w, f.Kind):
			case f.Kind == Garbage:
				writeBody(w, d.garbage())
			case f.Kind == StreamError:
				d.refuse(w, &refusal{status: http.StatusInternalServerError, message: f.text()})
			default:
				writeBody(w, "")
			}
			return false
		}
		if over {
			d.unary(w, entry, f.Kind != NoUsage)
		}
		return true
	})
}

func (e *Engine) serveStream(w http.ResponseWriter, hr *http.Request, d dialect, entry *Entry, f *Fault) {
	out := d.stream(w, entry)
	out.flush() // the status, before there is a token
	sent := make([]int, len(entry.sequences))
	e.follow(hr.Context(), entry, func(produced []int, over bool) bool {
		for choice, n := range produced {
			for ; sent[choice] < n; sent[choice]++ {
				if choice == 0 && f.strikes() && sent[0] >= f.After {
					e.goWrong(w, d, out, f)
					return false
				}
				out.token(choice, sent[choice])
				if sent[choice] == entry.want-1 {
					out.done(choice)
				}
			}
		}
		if over {
			if f.strikes() {
				e.goWrong(w, d, out, f)
				return false
			}
			out.end(f.Kind != NoUsage)
		}
		out.flush()
		return true
	})
}

// goWrong does what a fault does in the middle of a stream.
func (e *Engine) goWrong(w http.ResponseWriter, d dialect, out writer, f *Fault) {
	switch f.Kind {
	case Garbage:
		out.raw(d.garbage())
	case StreamError:
		out.raw(d.failure(f.text()))
	}
	out.flush()
	e.breaks(w, f.Kind)
}

func (e *Engine) listModels(w http.ResponseWriter, _ *http.Request) {
	type card struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
		Context int    `json:"max_model_len"`
	}
	list := []card{}
	for _, name := range e.config.Models {
		list = append(list, card{name, "model", time.Now().Unix(), "simulator", e.config.Context})
	}
	writeJSON(w, map[string]any{"object": "list", "data": list})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client left
}

func writeBody(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, text) // the client left
}

// newID returns a random name with a prefix.
func newID(prefix string) string { return prefix + rand.Text() }
