package admin

import (
	"net/http"
)

// Readiness says whether the gateway should get traffic, and what is known of each
// upstream.
type Readiness struct {
	Ready     bool             `json:"ready"`
	Reason    string           `json:"reason,omitempty"` // why not
	Upstreams []UpstreamHealth `json:"upstreams,omitempty"`
}

// UpstreamHealth is the last known state of an upstream.
type UpstreamHealth struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Era   string `json:"era,omitempty"`
	Tools int    `json:"tools"`
	Note  string `json:"note,omitempty"`
}

// healthz serves GET /healthz, which answers 200 as long as the process serves.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // a client that left needs no answer
}

// readyz serves GET /readyz, which answers 503 while the process should get no traffic:
// during start-up, and from the beginning of a shutdown. An upstream that is down does not
// make the gateway unready, because the others still work. Where operators need a token, which is not
// asked for here, nothing is said of them.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	state := s.Ready()
	if s.guard.token != nil {
		state.Upstreams = nil
	}
	status := http.StatusOK
	if !state.Ready {
		status = http.StatusServiceUnavailable
	}
	respond(w, status, state)
}
