package admin

import (
	"context"
	"log/slog"
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
	Log     *slog.Logger
	// Also are further handlers for operators, by pattern of [http.ServeMux].
	Also map[string]http.Handler
}

// Server serves operators. It may be used by many goroutines at once.
type Server struct {
	Deps
	guard  *guard
	open   *http.ServeMux // for everybody
	closed *http.ServeMux // for operators
	hub    *hub
}

var _ http.Handler = (*Server)(nil)

// New returns a server. What it does for those who watch ends with ctx, or with
// [Server.Close].
func New(ctx context.Context, cfg Config, deps Deps) *Server {
	s := &Server{Deps: deps, guard: newGuard(cfg), open: http.NewServeMux(), closed: http.NewServeMux()}
	s.hub = &hub{life: ctx, log: deps.Log, sections: sections(deps.Gateway), watchers: map[*watcher]struct{}{}}
	s.open.HandleFunc("GET /healthz", s.healthz)
	s.open.HandleFunc("GET /readyz", s.readyz)
	s.open.Handle("/", s.guard.operators(s.closed))
	s.routes()
	for pattern, handler := range deps.Also {
		s.closed.Handle(pattern, handler)
	}
	return s
}

// Close ends the event streams, and lets nobody open one any more.
func (s *Server) Close() { s.hub.close() }

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
