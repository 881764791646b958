package edge

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// legacy serves a message within a session (MCP 2025-11-25, Streamable HTTP). A
// disconnect is no cancel, so the call does not end with the request's context.
func (x *exchange) legacy(m *rpc.Message) error {
	s, err := x.resume()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(x.r.Context()))
	x.cancel = cancel
	if m.IsResponse() {
		return x.run(ctx, x.newCall(s.Client(), answerRow, m))
	}
	row, err := method(m, s.Client().Revision)
	if err != nil {
		return err
	}
	c := x.newCall(s.Client(), row, m)
	if m.IsRequest() {
		x.flight, x.session = s.Prepare(m.ID, cancel), s
		c.Flight = x.flight
	}
	return x.run(ctx, c)
}

// noSession stands for a session that ended or never was. Policies treat it as they do
// somebody else's, so that not even the time it takes tells the two apart.
const noSession = "none"

// resume returns the session a legacy request belongs to.
func (x *exchange) resume() (*session.Session, error) {
	id := x.r.Header.Get(headerSession)
	if id == "" {
		return nil, rpc.Errorf(rpc.SessionRequired, "session required: header %s is missing; send initialize first", headerSession)
	}
	s, err := x.Sessions.Resume(id, x.endpoint)
	if err != nil {
		x.claimed = rpc.Client{Session: noSession}
		return nil, err
	}
	x.claimed = s.Client()
	// Absent is fine: revisions before 2025-06-18 do not have the header.
	if version := x.r.Header.Get(mcp.HeaderVersion); version != "" {
		if t, ok := mcp.Of(rpc.Revision(version)); !ok || t.Era != rpc.Legacy {
			return nil, rpc.Errorf(rpc.InvalidRequest, "header %s is no revision that sessions have: %s", mcp.HeaderVersion, rpc.Excerpt(version))
		}
	}
	return s, nil
}

// initialize agrees on a revision and opens a session. Its answer is held until it is
// known whether there is one, because the session's id travels in a header.
func (x *exchange) initialize(m *rpc.Message) error {
	client, err := newcomer(m)
	if err != nil {
		return err
	}
	row, err := method(m, client.Revision)
	if err != nil {
		return err
	}
	x.await(true)
	c := x.newCall(client, row, m)
	reply, err := x.handle(x.haltable(x.r.Context()), c)
	if err != nil {
		return err
	}
	defer x.close(reply)
	response, err := x.response(reply)
	if err != nil {
		return err
	}
	if response.Err == nil {
		id, err := x.Sessions.Open(x.r.Context(), client, c.Principal, c.Endpoint, response)
		if err != nil {
			return err
		}
		x.w.Header()[headerSession] = []string{id}
	}
	x.finish(response, mcp.StatusOf(response, rpc.Legacy))
	return nil
}

// newcomer reads what initialize says of its sender.
func newcomer(m *rpc.Message) (rpc.Client, error) {
	version, ok := m.Text("protocolVersion")
	if !ok {
		return rpc.Client{}, rpc.Errorf(rpc.InvalidParams, "params.protocolVersion must be a string")
	}
	c := rpc.Client{Era: rpc.Legacy, Revision: mcp.Agree(rpc.Revision(version))}
	return c, identity(m, &c)
}

// identity reads who an initialize says that its sender is.
func identity(m *rpc.Message, c *rpc.Client) error {
	for _, part := range []struct {
		name string
		to   *json.RawMessage
	}{{"capabilities", &c.Capabilities}, {"clientInfo", &c.Info}} {
		v, ok := m.Get(part.name)
		if !ok {
			continue
		}
		if v[0] != '{' {
			return rpc.Errorf(rpc.InvalidParams, "params.%s must be an object", part.name)
		}
		*part.to = v
	}
	return mcp.CheckIdentity(c)
}

// get opens a session's stream of messages that belong to no call, or resumes one.
func (x *exchange) get() error {
	if err := x.wantSession(); err != nil {
		return err
	}
	s, err := x.resume()
	if err != nil {
		return err
	}
	if !x.accepts.stream {
		return rpc.Errorf(rpc.NotAcceptable, "accept must list %s", streamType)
	}
	var after session.Event
	if last := x.r.Header.Get(headerLastEvent); last != "" {
		if after, err = s.Event(last); !after.Standing() {
			return x.replay(s, after, err)
		}
	}
	ctx := x.lasting(x.r.Context())
	reply, err := x.handle(ctx, x.newCall(s.Client(), streamRow, x.listening))
	if err != nil {
		return err
	}
	defer x.close(reply)
	x.until(x.call.Principal.Expires)
	x.open(reply.Header)
	x.stand(s, after)
	for m, err := x.next(reply); err == nil; m, err = x.next(reply) {
		kept, more := x.tell(m)
		if !kept {
			s.Return(m)
		}
		if !more {
			break
		}
	}
	return nil // the stream says by its end that it ended
}

// delete ends a session.
func (x *exchange) delete() error {
	if err := x.wantSession(); err != nil {
		return err
	}
	s, err := x.resume()
	if err != nil {
		return err
	}
	reply, err := x.handle(x.r.Context(), x.newCall(s.Client(), endRow, x.leaving))
	if err != nil {
		return err
	}
	defer x.close(reply)
	x.acknowledge(http.StatusNoContent)
	return nil
}

// wantSession refuses verbs that only legacy clients use from everybody who does not
// bear a session, and bodies where none belongs.
func (x *exchange) wantSession() error {
	version := rpc.Revision(x.r.Header.Get(mcp.HeaderVersion))
	if x.r.Header.Get(headerSession) == "" || mcp.IsModern(version) {
		return wrongVerb(x.r.Method, http.MethodPost)
	}
	if x.r.ContentLength != 0 {
		return rpc.Errorf(rpc.InvalidRequest, "%s must have no body", x.r.Method)
	}
	return nil
}
