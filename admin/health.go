package admin

import (
	"encoding/json"
	"net/http"
)

// Readiness says whether the gateway should get traffic, and what is known of each
// upstream.
type Readiness struct {
	Ready     bool             `json:"ready"`
	Reason    string           `json:"reason,omitempty"` // why not
	Upstreams []UpstreamHealth `json:"upstreams"`
}

// UpstreamHealth is the last known state of an upstream.
type UpstreamHealth struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Era   string `json:"era,omitempty"`
	Tools int    `json:"tools"`
	Note  string `json:"note,omitempty"`
}

// Handler serves GET /healthz, which answers 200 as long as the process serves, and
// GET /readyz, which answers 503 while it should get no traffic: during start-up,
// and from the beginning of a shutdown. An upstream that is down does not make the
// gateway unready, because the others still work. POST /explain answers what would become
// of a call; it is for programs on this machine.
func Handler(ready func() Readiness, answer Explainer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n")) // a client that left needs no answer
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		state := ready()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !state.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(state) // as above
	})
	mux.Handle("POST /explain", private(explain(answer)))
	return mux
}
