package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// run sends a call through the handler and writes what comes back: exactly one
// response for a request, whatever happens, and 202 for everything else.
func (x *exchange) run(ctx context.Context, c *rpc.Call) error {
	request := c.Message.IsRequest()
	x.await(!request)
	reply, err := x.handle(ctx, c)
	if err != nil {
		return err
	}
	defer x.close(reply)
	x.keepHeader(reply.Header)
	if request {
		return x.relay(reply)
	}
	for err == nil { // empty by contract; what is not is nothing the client waits for
		_, err = x.next(reply)
	}
	x.acknowledge(http.StatusAccepted)
	return nil
}

// relay writes the messages of a reply as they come. The first one decides whether
// the answer is JSON or an event stream.
func (x *exchange) relay(reply *rpc.Reply) error {
	for {
		m, err := x.next(reply)
		switch {
		case errors.Is(err, io.EOF):
			return errSilent()
		case err != nil:
			return err
		case m.IsResponse():
			x.finish(m, mcp.StatusOf(m, x.era))
			return nil
		case m.IsRequest():
			x.ask(reply, m)
		default:
			x.send(m)
		}
	}
}

// response skips to the response of a reply.
func (x *exchange) response(reply *rpc.Reply) (*rpc.Message, error) {
	for {
		m, err := x.next(reply)
		switch {
		case errors.Is(err, io.EOF):
			return nil, errSilent()
		case err != nil:
			return nil, err
		case m.IsResponse():
			return m, nil
		case m.IsRequest():
			x.decline(reply, m)
		}
	}
}

// errSilent is the fault of a handler that ended a request without a response.
func errSilent() error { return rpc.Errorf(rpc.Internal, "the call ended without a response") }

// ask passes a server's question on to a legacy client. Its answer comes with
// another POST and finds its way through the session.
func (x *exchange) ask(reply *rpc.Reply, q *rpc.Message) {
	if x.flight != nil {
		if m, ok := x.flight.Ask(reply, q); ok && x.send(m) {
			return
		}
	}
	x.decline(reply, q)
}

// decline answers a question that cannot reach the client, so that its server does
// not wait in vain.
func (x *exchange) decline(reply *rpc.Reply, q *rpc.Message) {
	refusal := mcp.Failure(rpc.Errorf(rpc.Cancelled, "the client cannot be asked"))
	if err := reply.Answer(rpc.NewError(q.ID, refusal)); err != nil {
		x.Log.DebugContext(x.r.Context(), "question was not declined", "method", q.Method, "error", err)
	}
}

// handle calls the handler. Who pulls a reply recovers from panics too: here, in
// next and in close.
func (x *exchange) handle(ctx context.Context, c *rpc.Call) (reply *rpc.Reply, err error) {
	defer x.recover(&err)
	return x.Handler.Handle(ctx, c)
}

// next pulls the next message and logs why there is none.
func (x *exchange) next(reply *rpc.Reply) (m *rpc.Message, err error) {
	defer x.recover(&err)
	m, err = reply.Next()
	if err != nil && !errors.Is(err, io.EOF) {
		x.Log.LogAttrs(x.r.Context(), levelOf(err), "call failed after it began",
			slog.String("method", rpc.Excerpt(x.call.Method.Name)), slog.String("endpoint", x.call.Endpoint), slog.Any("error", err))
	}
	return m, err
}

func (x *exchange) close(reply *rpc.Reply) {
	var err error
	defer x.recover(&err)
	if err = reply.Close(); err != nil {
		x.Log.DebugContext(x.r.Context(), "reply was not closed", "error", err)
	}
}

// recover turns a panic into an internal error and logs where it happened.
func (x *exchange) recover(err *error) {
	p := recover()
	if p == nil {
		return
	}
	x.Log.ErrorContext(x.r.Context(), "panic in a call",
		"method", rpc.Excerpt(x.call.Method.Name), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	*err = rpc.Errorf(rpc.Internal, "internal error")
}

// levelOf tells our and the upstreams' failures from what clients cause.
func levelOf(err error) slog.Level {
	switch failure(err).Code {
	case rpc.Internal, rpc.UpstreamDown, rpc.UpstreamFailed, rpc.UpstreamTimeout:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}
