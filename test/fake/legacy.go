package fake

import (
	"net/http"
	"slices"

	"github.com/headgate/headgate/test/fake/rawjson"
)

const sessionHeader = "Mcp-Session-Id"

// postLegacy serves one message of a legacy session, or opens one (MCP 2025-11-25, Streamable HTTP).
func (s *Server) postLegacy(out *output, r *http.Request, m *message) {
	if m.method == "initialize" && m.request() {
		s.openSession(out, r, m)
		return
	}
	session, status := s.session(r)
	switch {
	case status != 0:
		out.fail(m.id, &Error{Code: codeInvalidRequest, Message: "no such session", Status: status})
	case m.request():
		c := newCall(m, Legacy)
		c.Header, c.Session = r.Header, session
		ctx, done := s.inflight.start(r.Context(), session, m.id)
		defer done()
		s.call(ctx, out, c)
	case m.method != "":
		s.notified(session, m)
		out.accept()
	default: // an answer to a question of ours
		if s.config.LegacyTasks != nil {
			s.config.LegacyTasks.answered(m)
		}
		out.accept()
	}
}

// openSession answers initialize and, when it succeeds, names a new session.
func (s *Server) openSession(out *output, r *http.Request, m *message) {
	c := newCall(m, Legacy)
	c.Header = r.Header
	if _, err := s.initialize(r.Context(), c); err == nil {
		out.w.Header().Set(sessionHeader, s.sessions.begin())
	}
	s.call(r.Context(), out, c)
}

// notified acts on a client's notification.
func (s *Server) notified(session string, m *message) {
	if m.method == "notifications/cancelled" {
		s.inflight.cancel(session, rawjson.Member(m.params, "requestId"))
	}
}

// openStream serves GET: the session's stream for what no request asked for. A session hears each message on the stream
// that it opened last.
func (s *Server) openStream(w http.ResponseWriter, r *http.Request) {
	s.log.http(r, nil)
	if s.config.Eras&Legacy == 0 {
		methodNotAllowed(w)
		return
	}
	if !accepts(r.Header, "text/event-stream") {
		http.Error(w, "the stream is text/event-stream", http.StatusNotAcceptable)
		return
	}
	session, status := s.session(r)
	if status != 0 {
		http.Error(w, "no such session", status)
		return
	}
	stream := s.streams.open(session)
	defer s.streams.leave(session, stream)
	startEvents(w)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	_ = s.streams.pump(r.Context(), stream, func(n broadcast) error { return writeEvent(w, n.plain) })
}

// endSession serves DELETE.
func (s *Server) endSession(w http.ResponseWriter, r *http.Request) {
	s.log.http(r, nil)
	if s.config.Eras&Legacy == 0 {
		methodNotAllowed(w)
		return
	}
	session, status := s.session(r)
	if status != 0 {
		http.Error(w, "no such session", status)
		return
	}
	s.sessions.end(session)
	s.streams.end(session)
	w.WriteHeader(http.StatusNoContent)
}

// session returns the session a request names, or the status that refuses it: 400 without one or with an unknown
// revision, 404 for a session that has ended (MCP 2025-11-25, Session Management).
func (s *Server) session(r *http.Request) (string, int) {
	id := r.Header.Get(sessionHeader)
	revision := r.Header.Get("Mcp-Protocol-Version")
	switch {
	case id == "" || revision != "" && !slices.Contains(legacyRevisions(), revision):
		return "", http.StatusBadRequest
	case !s.sessions.known(id):
		return "", http.StatusNotFound
	default:
		return id, 0
	}
}
