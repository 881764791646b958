package demo

import (
	"encoding/json"
	"net/http"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// listTTL is how long, in milliseconds, clients may keep what never changes.
const listTTL = 60_000

// modern is a stateless server (MCP 2026-07-28, Streamable HTTP): every request says for itself who asks and in which revision, and its
// headers repeat what proxies need.
type modern struct {
	server
	meta map[string]implementation
}

var _ http.Handler = (*modern)(nil)

func newModern(id identity, tools ...*tool) *modern {
	s := newServer(id, tools)
	return &modern{server: s, meta: map[string]implementation{mcp.MetaServerInfo: s.info}}
}

// cacheable is what every complete result of a list or of server/discover begins with (SEP-2549). These may be shared: they are the same
// for everybody.
type cacheable struct {
	Type  string                    `json:"resultType"`
	TTL   int                       `json:"ttlMs"`
	Scope string                    `json:"cacheScope"`
	Meta  map[string]implementation `json:"_meta"`
}

// ServeHTTP implements http.Handler.
func (s *modern) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, era: rpc.Modern}
	m, ok := x.admit(http.MethodPost)
	switch {
	case !ok:
	case m.IsNotification():
		x.accepted() // none is defined over HTTP; clients send cancelled, although closing the connection says it
	case m.IsResponse():
		x.fail(rpc.Errorf(rpc.InvalidRequest, "nothing was asked"))
	case s.understood(x, m):
		s.answer(x, m)
	}
}

// understood checks what each request says about itself. All of these failures are 400 (MCP 2026-07-28, Streamable HTTP).
func (s *modern) understood(x *exchange, m *rpc.Message) bool {
	version, ok := m.MetaText(mcp.MetaVersion)
	if !ok && m.Method == mcp.Initialize {
		version, ok = m.Text("protocolVersion") // a legacy client: say what would be understood
	}
	if ok && !mcp.IsModern(rpc.Revision(version)) {
		e := rpc.Errorf(rpc.UnsupportedVersion, "protocol version %s is not supported", rpc.Excerpt(version))
		e.Data = map[string]any{"supported": []rpc.Revision{mcp.LatestModern}, "requested": version}
		return x.fail(e)
	}
	if _, err := mcp.ClientOf(m); err != nil {
		return x.failWith(http.StatusBadRequest, rpc.AsError(err))
	}
	if err := mcp.CheckHeaders(x.r.Header, m); err != nil {
		return x.fail(rpc.AsError(err))
	}
	return true
}

func (s *modern) answer(x *exchange, m *rpc.Message) {
	common := cacheable{Type: "complete", TTL: listTTL, Scope: "public", Meta: s.meta}
	switch m.Method {
	case mcp.Discover:
		x.respond(struct {
			cacheable
			Versions     []rpc.Revision  `json:"supportedVersions"`
			Capabilities json.RawMessage `json:"capabilities"`
			Instructions string          `json:"instructions"`
		}{common, []rpc.Revision{mcp.LatestModern}, capabilities, s.instructions})
	case mcp.ToolsList:
		if err := onlyPage(m); err != nil {
			x.fail(err)
			return
		}
		x.respond(struct {
			cacheable
			Tools []*tool `json:"tools"`
		}{common, s.tools})
	case mcp.ToolsCall:
		s.call(x, m)
	default:
		x.fail(unknownMethod(m))
	}
}

// call uses a tool. A client that goes away cancels the call, because that ends the request's context.
func (s *modern) call(x *exchange, m *rpc.Message) {
	t, arguments, err := s.find(m)
	if err != nil {
		x.fail(err)
		return
	}
	a := &answer{x: x}
	a.token, a.wanted = progressToken(m)
	result := t.use(x.r.Context(), &call{arguments: arguments, report: a.report})
	result.Type, result.Meta = "complete", s.meta
	a.finish(result)
}
