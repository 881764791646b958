package admin

import (
	"net/http"
)

// Config is who may use the API.
type Config struct {
	// Loopback says that the listener is reachable from this machine only.
	Loopback bool
	// Token is what operators have to show. Without one, whoever can connect is one: then
	// Loopback must be true.
	Token string
}

// Deps is what the API shows.
type Deps struct {
	Ready   func() Readiness
	Explain Explainer
	Gateway Gateway
	// Also are further handlers for operators, by pattern of [http.ServeMux].
	Also map[string]http.Handler
}

// Server serves operators. It may be used by many goroutines at once.
type Server struct {
	Deps
	guard  *guard
	open   *http.ServeMux // for everybody
	closed *http.ServeMux // for operators
}

var _ http.Handler = (*Server)(nil)

// New returns a server.
func New(cfg Config, deps Deps) *Server {
	s := &Server{Deps: deps, guard: newGuard(cfg), open: http.NewServeMux(), closed: http.NewServeMux()}
	s.open.HandleFunc("GET /healthz", s.healthz)
	s.open.HandleFunc("GET /readyz", s.readyz)
	s.open.Handle("/", s.guard.operators(s.closed))
	s.closed.HandleFunc("POST /explain", s.explain)
	s.closed.HandleFunc("GET /api/v1/overview", s.overview)
	s.closed.HandleFunc("GET /api/v1/upstreams", s.upstreams)
	for pattern, handler := range deps.Also {
		s.closed.Handle(pattern, handler)
	}
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	harden(w.Header())
	s.open.ServeHTTP(w, r)
}

// harden sets what keeps a browser from doing anything with an answer but read it: it is
// no page, nobody's frame, not what it looks like, and not kept. There is no CORS.
func harden(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}
