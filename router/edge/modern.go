package edge

import (
	"net/http"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// modern serves a message of the stateless era (MCP 2026-07-28, Streamable HTTP). It
// says itself who sends it; session headers mean nothing. When the client goes
// away, the request's context ends, and the call with it.
func (x *exchange) modern(m *rpc.Message) error {
	x.era = rpc.Modern
	if m.IsResponse() {
		return rpc.Errorf(rpc.InvalidRequest, "responses are not accepted: in this revision servers ask by input_required")
	}
	client, err := modernClient(x.r.Header, m)
	if err != nil {
		return badRequest{err}
	}
	row, err := method(m, client.Revision)
	if err != nil {
		return err
	}
	ctx := x.r.Context()
	if row.Name == mcp.Listen {
		ctx = x.lasting(ctx)
	} else {
		ctx = x.haltable(ctx)
	}
	return x.run(ctx, x.newCall(client, row, m))
}

// modernClient reads who sends a message and compares the headers that mirror it.
// Where a request names a revision, a header that differs is the first thing wrong;
// where it names none, that is.
func modernClient(h http.Header, m *rpc.Message) (rpc.Client, error) {
	if m.IsNotification() {
		return modernNotifier(h, m)
	}
	if _, ok := m.Meta(mcp.MetaVersion); ok {
		if err := mcp.CheckHeaders(h, m); err != nil {
			return rpc.Client{}, err
		}
	}
	return mcp.ClientOf(m)
}

// modernNotifier is lenient: no rules exist for notifications over HTTP, and clients
// in the field send them without _meta.
func modernNotifier(h http.Header, m *rpc.Message) (rpc.Client, error) {
	if err := mcp.CheckHeaders(h, m); err != nil {
		return rpc.Client{}, err
	}
	if _, ok := m.Meta(mcp.MetaVersion); ok {
		return mcp.ClientOf(m)
	}
	version := h.Get(mcp.HeaderVersion)
	if !mcp.IsModern(rpc.Revision(version)) {
		return rpc.Client{}, mcp.Unsupported(version)
	}
	return rpc.Client{Era: rpc.Modern, Revision: rpc.Revision(version)}, nil
}
