package edge

import (
	"errors"
	"net/http"
	"strings"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

const (
	headerSession   = mcp.HeaderSession
	headerLastEvent = mcp.HeaderLastEvent
)

// The rows that stand for requests without a message, and for answers.
var (
	connectRow = mcp.EdgeMethod(mcp.SessionConnect)
	postRow    = mcp.EdgeMethod(mcp.SessionPost)
	streamRow  = mcp.EdgeMethod(mcp.SessionStream)
	resumeRow  = mcp.EdgeMethod(mcp.SessionResume)
	checkRow   = mcp.EdgeMethod(mcp.SessionCheck)
	endRow     = mcp.EdgeMethod(mcp.SessionEnd)
	answerRow  = mcp.EdgeMethod(mcp.SessionAnswer)
)

// post reads one message and serves it in the era it belongs to.
func (x *exchange) post() error {
	if err := checkMedia(x.r.Header); err != nil {
		return err
	}
	if !x.accepts.json && !x.accepts.stream {
		return rpc.Errorf(rpc.NotAcceptable, "accept must list %s and %s", jsonType, streamType)
	}
	body, err := x.receive()
	if err != nil {
		return err
	}
	m, err := rpc.Parse(body, rpc.Limits{Depth: x.cfg().Depth})
	if m != nil {
		x.id = m.ID
	}
	if errors.Is(err, rpc.ErrBatch) && x.r.Header.Get(headerSession) != "" {
		return x.batch(body, err)
	}
	if err != nil {
		return err
	}
	switch {
	case isModern(x.r.Header, m):
		return x.modern(m)
	case m.IsRequest() && m.Method == mcp.Initialize:
		return x.initialize(m)
	default:
		return x.legacy(m)
	}
}

// isModern decides the era of a message: by the revision in its _meta, which legacy
// messages do not have, or by the version header. What names a revision nobody knows
// gets the modern answer, which lists the known ones; a session makes neither
// modern (MCP 2026-07-28, Versioning).
func isModern(h http.Header, m *rpc.Message) bool {
	if meta, ok := m.Meta(mcp.MetaVersion); ok {
		text, _ := rpc.Unquote(meta)
		if t, known := mcp.Of(rpc.Revision(text)); !known || t.Era == rpc.Modern {
			return true
		}
	}
	version := h.Get(mcp.HeaderVersion)
	return version != "" && mcp.EraOf(rpc.Revision(version)) == rpc.Modern
}

// method returns the row of a message's method for a client of a revision.
func method(m *rpc.Message, r rpc.Revision) (*rpc.Method, error) {
	if notifies := strings.HasPrefix(m.Method, "notifications/"); notifies != m.IsNotification() {
		if notifies {
			return nil, rpc.Errorf(rpc.InvalidRequest, "%s is a notification, which has no id", rpc.Excerpt(m.Method))
		}
		return nil, rpc.Errorf(rpc.InvalidRequest, "%s is a request, which needs an id", rpc.Excerpt(m.Method))
	}
	if row, ok := mcp.Lookup(m.Method, r); ok {
		return row, nil
	}
	if mcp.Known(m.Method) {
		return nil, rpc.Errorf(rpc.MethodNotFound, "method %s is not available in revision %s", rpc.Excerpt(m.Method), r)
	}
	return mcp.Foreign(m.Method), nil
}
