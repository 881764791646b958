package edge

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
)

// HTTP+SSE is the transport of the first revision (MCP 2024-11-05, Transports): a GET
// opens the stream on which all that the client is told comes, and says where to POST
// what the client has to say. /sse stands for /mcp, /sse/NAME for /mcp/NAME.

const (
	olderPrefix = "/sse"
	olderVia    = "http+sse"
	olderQuery  = "sessionId"
)

// olderPath returns the endpoint a path stands for, and whether the path is one of
// HTTP+SSE.
func olderPath(path string) (endpoint string, is bool) {
	rest, ok := strings.CutPrefix(path, olderPrefix)
	if !ok || rest != "" && rest[0] != '/' {
		return path, false
	}
	return "/mcp" + rest, true
}

func (x *exchange) serveOlder() error {
	switch x.r.Method {
	case http.MethodGet:
		return x.stay()
	case http.MethodPost:
		return x.contribute()
	}
	return wrongVerb(x.r.Method, "GET, POST, OPTIONS")
}

// stay serves the stream of a client to its end, with which the session ends.
func (x *exchange) stay() error {
	if !x.accepts.stream {
		return rpc.Errorf(rpc.NotAcceptable, "accept must list %s", streamType)
	}
	x.asked = true
	hello := x.arrival(connectRow, x.connecting)
	ctx, gone := context.WithCancelCause(context.WithoutCancel(x.r.Context()))
	defer gone(nil)
	defer context.AfterFunc(x.r.Context(), func() {
		// When all calls are given up the stream has to last until their clients were told, which Close sees to.
		if cause := context.Cause(x.r.Context()); failure(cause).Code != rpc.Draining {
			gone(cause)
		}
	})()
	d, err := x.connect(ctx, olderVia, hello, x.say)
	if err != nil {
		return err
	}
	defer d.end(hello)
	x.open(nil)
	x.announce(x.r.URL.Path + "?" + url.Values{olderQuery: {d.id}}.Encode())
	d.every(x.cfg().Heartbeat, func() { d.recheck(*hello) })
	return nil
}

// arrival is what is known of a sender before there is a message.
func (x *exchange) arrival(row *rpc.Method, m *rpc.Message) *rpc.Call {
	c := x.callOf(rpc.Client{}, row, m)
	c.Bare = true
	return c
}

// announce says where to POST. The path is of our own origin by its form.
func (x *exchange) announce(to string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.naming = true
	x.write(frame.AppendEvent(nil, frame.Event{Name: "endpoint", Data: []byte(to)}))
	x.flush()
}

// contribute takes one message; what comes of it goes to the stream. The policies are
// asked beforehand too, because a refusal belongs to who sent this, which need not be
// who reads there. They see two calls then, of which the first is no request and counts
// for none.
func (x *exchange) contribute() error {
	if err := checkMedia(x.r.Header); err != nil {
		return err
	}
	body, err := x.receive()
	if err != nil {
		return err
	}
	x.await(true)
	d, ok := x.dialogues.find(x.r.URL.Query().Get(olderQuery))
	if !ok || d.via != olderVia || d.endpoint != x.endpoint {
		return errNoStream()
	}
	x.asked = true
	from := x.arrival(postRow, x.posting)
	if err := d.turn(from).attempt(x.r.Context()); err != nil {
		return err
	}
	if !d.same(from.Principal) {
		return errNoStream()
	}
	d.hear(*from, bytes.Clone(body))
	x.acknowledge(http.StatusAccepted)
	return nil
}

func errNoStream() error {
	return rpc.Errorf(rpc.SessionUnknown, "the stream has ended or never was: GET a new one")
}
