package edge

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// turn is one call on its way through the handler and back. What its reply says goes
// to the outlet, whatever the transport.
type turn struct {
	*Edge
	speech  *dialect
	ctx     context.Context // the client's, for the log
	call    *rpc.Call
	flight  *session.Flight // a legacy request's, else nil
	out     outlet
	asked   bool // the client was asked something; used by relay only
	counted bool // the call is among those in flight
}

// outlet is where the messages for a client go. An outlet may be used by many
// goroutines at once.
type outlet interface {
	// send writes a message that more will follow. It returns false if the client
	// cannot get it.
	send(m *rpc.Message) bool
	// finish writes the response; the status is for answers that have one.
	finish(m *rpc.Message, status int)
}

// ready is an outlet that can take notifications without waiting for the client, so that they can be pushed to it.
type ready interface {
	outlet
	// Take is send that does not wait for a slow client. If it returns false, deliver must be called before anything else.
	rpc.Taker
	// offers reports whether Take may be called.
	offers() bool
	// deliver waits until the client has what it was given.
	deliver()
}

// serve sends the call through the handler and gives the outlet what comes back, with
// exactly one response for a request; where that is an error the outlet gets it too.
func (t *turn) serve(ctx context.Context) {
	err := t.attempt(ctx)
	if err == nil {
		return
	}
	if t.call.Message.IsRequest() {
		t.fail(failure(err))
	}
}

// fail answers a request with an error.
func (t *turn) fail(e *rpc.Error) {
	t.land()
	t.out.finish(rpc.NewError(t.call.Message.ID, t.speech.failure(e, t.call.Record.ID, t.call.Target.Exposed)), t.speech.status(e, t.call.Client.Era))
}

// land ends the flight, before the response says to the client that its id is free.
func (t *turn) land() {
	if t.flight != nil {
		t.flight.Finish()
		t.flight = nil
	}
}

func (t *turn) attempt(ctx context.Context) error {
	reply, err := t.handle(ctx, t.call)
	if err != nil {
		return err
	}
	defer t.close(reply)
	if t.call.Message.IsRequest() {
		return t.relay(reply)
	}
	t.exhaust(reply)
	return nil
}

// exhaust pulls the reply to what is no request. It is empty by contract; what is not
// is nothing the client waits for.
func (t *turn) exhaust(reply *rpc.Reply) {
	for err := error(nil); err == nil; {
		_, err = t.next(reply)
	}
}

// relay writes the messages of a reply as they come. The first one decides whether
// the answer is JSON or an event stream. It recovers from panics once, and not for each message.
func (t *turn) relay(reply *rpc.Reply) (err error) {
	defer t.recover(&err)
	to, _ := t.out.(ready) // as long as something may be pushed
	for {
		m, err := reply.Next()
		if t.asked && (err != nil || m.IsResponse()) {
			t.withdraw()
		}
		switch {
		case rpc.IsEnd(err):
			return t.silence()
		case err != nil:
			return err
		case m.IsResponse():
			t.land()
			t.out.finish(m, t.speech.statusOf(m, t.call.Client.Era))
			return nil
		case m.IsRequest():
			t.ask(reply, m)
		case m.Method == mcp.Cancelled:
			t.recall(m)
		default:
			if t.out.send(m) && to != nil && !pass(reply, to) {
				to = nil
			}
		}
	}
}

// pass lets what follows through without pulling it, where both sides can, and reports whether it may do so again.
func pass(reply *rpc.Reply, to ready) (again bool) {
	if !to.offers() {
		return false
	}
	again = reply.PushTo(to)
	to.deliver()
	return again
}

// response skips to the response of a reply.
func (t *turn) response(reply *rpc.Reply) (*rpc.Message, error) {
	for {
		m, err := t.next(reply)
		switch {
		case rpc.IsEnd(err):
			return nil, errSilent()
		case err != nil:
			return nil, err
		case m.IsResponse():
			return m, nil
		case m.IsRequest():
			t.decline(reply, m)
		}
	}
}

// silence ends an answer that has no response, if there may be none.
func (t *turn) silence() error {
	o, ok := t.out.(interface{ end() bool })
	if !ok {
		return errSilent()
	}
	t.land()
	if !o.end() {
		return errSilent()
	}
	return nil
}

// errSilent is the fault of a handler that ended a request without a response.
func errSilent() error { return rpc.Errorf(rpc.Internal, "the call ended without a response") }

// ask passes a server's question on to a legacy client. Its answer comes with
// another POST and finds its way through the session.
func (t *turn) ask(reply *rpc.Reply, q *rpc.Message) {
	if t.flight != nil && t.speech.asks {
		if m, ok := t.flight.Ask(reply, q); ok && t.out.send(m) {
			t.asked = true
			return
		}
	}
	t.decline(reply, q)
}

// withdraw tells the client of a call that has ended which of its questions nobody
// wants to have answered any more (MCP 2025-11-25, Cancellation).
func (t *turn) withdraw() {
	for _, id := range t.flight.Withdraw() {
		t.out.send(mcp.NewCancelled(id, "the call that asked has ended"))
	}
}

// recall tells the client that a server has taken a question back. Modern clients are
// asked in another way.
func (t *turn) recall(m *rpc.Message) {
	own, ok := mcp.CancelledID(m)
	if !ok || t.flight == nil {
		return
	}
	if known, ok := t.flight.Recall(own); ok {
		out := m.Fork()
		out.Set("requestId", []byte(known.Raw()))
		t.out.send(out)
	}
}

// decline answers a question that cannot reach the client, so that its server does
// not wait in vain.
func (t *turn) decline(reply *rpc.Reply, q *rpc.Message) {
	refusal := t.speech.failure(rpc.Errorf(rpc.Cancelled, "the client cannot be asked"), "", "")
	if err := reply.Answer(rpc.NewError(q.ID, refusal)); err != nil {
		t.Log.DebugContext(t.ctx, "question was not declined", "method", q.Method, "error", err)
	}
}

// handle calls the handler. Who pulls a reply recovers from panics too: here, in
// relay, in next and in close.
func (t *turn) handle(ctx context.Context, c *rpc.Call) (reply *rpc.Reply, err error) {
	if err := t.enter(c); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.leave()
		}
	}()
	defer t.recover(&err)
	return t.Handler.Handle(ctx, c)
}

// next pulls the next message.
func (t *turn) next(reply *rpc.Reply) (m *rpc.Message, err error) {
	defer t.recover(&err)
	return reply.Next()
}

func (t *turn) close(reply *rpc.Reply) {
	var err error
	defer t.leave()
	defer t.recover(&err)
	if err = reply.Close(); err != nil {
		t.Log.DebugContext(t.ctx, "reply was not closed", "error", err)
	}
}

// recover turns a panic into an internal error and logs where it happened.
func (t *turn) recover(err *error) {
	p := recover()
	if p == nil {
		return
	}
	t.Log.ErrorContext(t.ctx, "panic in a call",
		"method", rpc.Excerpt(t.call.Method.Name), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	*err = rpc.Errorf(rpc.Internal, "internal error")
}
