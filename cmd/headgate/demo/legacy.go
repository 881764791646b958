package demo

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// maxSessions is how many sessions a server remembers. Clients that leave without a DELETE must not fill the memory.
const maxSessions = 1024

// legacy is a server of the era with sessions (MCP 2025-11-25, Streamable HTTP). It has nothing to say unasked, so it offers no stream
// to GET, and its tools are too quick to be cancelled.
type legacy struct {
	server
	mu       sync.Mutex
	sessions map[string]rpc.Revision // what was agreed with each
	order    []string                // oldest first
}

var _ http.Handler = (*legacy)(nil)

func newLegacy(id identity, tools ...*tool) *legacy {
	return &legacy{server: newServer(id, tools), sessions: map[string]rpc.Revision{}}
}

// ServeHTTP implements http.Handler.
func (l *legacy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, era: rpc.Legacy}
	m, ok := x.admit(http.MethodPost, http.MethodDelete)
	if !ok {
		return
	}
	if m != nil && m.IsRequest() && m.Method == mcp.Initialize {
		l.initialize(x, m)
		return
	}
	if err := l.known(r.Header); err != nil {
		x.fail(err)
		return
	}
	switch {
	case r.Method == http.MethodDelete:
		l.forget(r.Header.Get(mcp.HeaderSession))
		w.WriteHeader(http.StatusNoContent)
	case !m.IsRequest():
		x.accepted() // initialized and cancelled change nothing here; we ask nothing, so there are no answers
	default:
		l.answer(x, m)
	}
}

func (l *legacy) initialize(x *exchange, m *rpc.Message) {
	asked, ok := m.Text("protocolVersion")
	if !ok {
		x.fail(rpc.Errorf(rpc.InvalidParams, "params.protocolVersion must be a string"))
		return
	}
	revision := agree(rpc.Revision(asked))
	x.w.Header().Set(mcp.HeaderSession, l.open(revision))
	x.respond(struct {
		Revision     rpc.Revision    `json:"protocolVersion"`
		Capabilities json.RawMessage `json:"capabilities"`
		Info         implementation  `json:"serverInfo"`
		Instructions string          `json:"instructions"`
	}{revision, capabilities, l.info, l.instructions})
}

// agree picks what is asked for, or else the latest, among the revisions that have this transport and no batches.
func agree(asked rpc.Revision) rpc.Revision {
	revision := mcp.Agree(asked)
	if traits, ok := mcp.Of(revision); !ok || !traits.Streamable || traits.Batches {
		return mcp.LatestLegacy
	}
	return revision
}

func (l *legacy) answer(x *exchange, m *rpc.Message) {
	switch m.Method {
	case mcp.Ping:
		x.respond(struct{}{})
	case mcp.ToolsList:
		if err := onlyPage(m); err != nil {
			x.fail(err)
			return
		}
		x.respond(struct {
			Tools []*tool `json:"tools"`
		}{l.tools})
	case mcp.ToolsCall:
		t, arguments, err := l.find(m)
		if err != nil {
			x.fail(err)
			return
		}
		silent := func(int, int, string) error { return nil }
		x.respond(t.use(x.r.Context(), &call{arguments: arguments, report: silent}))
	default:
		x.fail(unknownMethod(m))
	}
}

// open begins a session, whose id nobody can guess.
func (l *legacy) open(revision rpc.Revision) string {
	id := rand.Text()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.order) == maxSessions {
		delete(l.sessions, l.order[0])
		l.order = l.order[1:]
	}
	l.sessions[id] = revision
	l.order = append(l.order, id)
	return id
}

// known checks the session and the revision that a request names: 400 without a session or with another revision than the one that was
// agreed, 404 for a session that ended, upon which the client begins a new one (MCP 2025-11-25, Session Management).
func (l *legacy) known(h http.Header) *rpc.Error {
	id := h.Get(mcp.HeaderSession)
	if id == "" {
		return rpc.Errorf(rpc.SessionRequired, "header %s is missing; begin with initialize", mcp.HeaderSession)
	}
	l.mu.Lock()
	agreed, ok := l.sessions[id]
	l.mu.Unlock()
	if !ok {
		return rpc.Errorf(rpc.SessionUnknown, "no such session")
	}
	if said := h.Get(mcp.HeaderVersion); said != "" && rpc.Revision(said) != agreed {
		return rpc.Errorf(rpc.InvalidRequest, "header %s is %s, but %s was agreed", mcp.HeaderVersion, rpc.Excerpt(said), agreed)
	}
	return nil
}

func (l *legacy) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, id) // its place in order goes when it is the oldest
}
