package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/headgate/headgate/admin/live"
)

// routes adds the API to what operators are served.
func (s *Server) routes() {
	g := s.Gateway
	s.closed.HandleFunc("POST /explain", s.explain)
	s.closed.HandleFunc("GET /api/v1/overview", func(w http.ResponseWriter, _ *http.Request) { respond(w, http.StatusOK, g.Overview()) })
	s.closed.HandleFunc("GET /api/v1/upstreams", listing(g.Upstreams))
	s.closed.HandleFunc("GET /api/v1/models", listing(g.Models))
	s.closed.HandleFunc("GET /api/v1/calls", listing(g.Calls))
	s.closed.HandleFunc("DELETE /api/v1/calls/{id}", s.ending(s.stop))
	s.closed.HandleFunc("GET /api/v1/streams", listing(g.Streams))
	s.closed.HandleFunc("DELETE /api/v1/streams/{id}", s.ending(s.stop))
	s.closed.HandleFunc("GET /api/v1/connections", listing(g.Connections))
	s.closed.HandleFunc("DELETE /api/v1/connections/{id}", s.ending(func(_ context.Context, id string) (bool, error) { return g.Disconnect(id), nil }))
	s.closed.HandleFunc("GET /api/v1/sessions", listing(g.Sessions))
	s.closed.HandleFunc("DELETE /api/v1/sessions/{id}", s.ending(g.EndSession))
	s.closed.HandleFunc("GET /api/v1/recent", listing(g.Recent))
	s.closed.HandleFunc("GET /api/v1/limits", s.limits)
	s.closed.HandleFunc("GET /api/v1/events", s.events)
}

func (s *Server) stop(_ context.Context, text string) (bool, error) {
	id, ok := live.ParseID(text)
	return ok && s.Gateway.Stop(id), nil
}

func (s *Server) limits(w http.ResponseWriter, r *http.Request) {
	limits, err := s.Gateway.Limits(r.Context())
	if err != nil {
		s.Log.ErrorContext(r.Context(), "limits cannot be read", "error", err)
		refuse(w, http.StatusServiceUnavailable, errors.New("limits cannot be read at the moment"))
		return
	}
	listing(func() []Limit { return limits })(w, r)
}

// ending serves the end of something. Each is logged: who has the token may have been
// careless with it.
func (s *Server) ending(end func(ctx context.Context, id string) (bool, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		found, err := end(r.Context(), r.PathValue("id"))
		switch {
		case err != nil:
			s.Log.ErrorContext(r.Context(), "an operator's wish was not fulfilled", "path", live.Clip(r.URL.Path), "error", err)
			refuse(w, http.StatusInternalServerError, errors.New("it has ended, but that could not be written"))
		case !found:
			refuse(w, http.StatusNotFound, errors.New("there is none with this id, or it cannot be ended"))
		default:
			s.Log.InfoContext(r.Context(), "ended by an operator", "path", live.Clip(r.URL.Path), "remote", r.RemoteAddr)
			w.WriteHeader(http.StatusNoContent)
		}
	}
}
