package edge

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

const (
	inferSubprotocol = "jsonrpc"
	// closeExpired is for a connection whose credential is no good any more: clients come back with another one. Codes from
	// 4000 on are for applications to agree on (RFC 6455 §7.4.2).
	closeExpired = 4401
	// maxReason is the length of a reason in a close frame (RFC 6455 §5.5).
	maxReason = 123
)

// inferSocket is a WebSocket of the inference dialect: each text frame is one message. It is a session of its own, in which
// requests are cancelled by their ids; what the gateway remembers of a session that initialize opened outlives it, and can
// be taken up again on another one.
type inferSocket struct {
	*dialogue
	ws    *socket
	hello rpc.Call // what is known of the client before it says anything
	named string   // the id of the socket's session; used by the one who hears

	last      atomic.Int64 // when either side said something, in nanoseconds of Unix time
	versioned atomic.Bool  // the client's messages say that they are JSON-RPC
	asked     atomic.Bool  // whether it is there, and it has said nothing since
	questions atomic.Int64 // that it was asked
}

// upgradeInfer turns the exchange's connection into a WebSocket and serves it to its end.
func (x *exchange) upgradeInfer() error {
	hello := x.callOf(rpc.Client{}, connectRow, x.connecting)
	named, s, err := x.inferSession(hello.Message)
	if err != nil {
		return err
	}
	if s != nil {
		hello.Client = s.Client()
	}
	return x.converse(inferUpgrader, hello, x.cfg().Body, func(d *dialogue, ws *socket) func([]byte) {
		i := &inferSocket{dialogue: d, ws: ws, hello: *hello}
		i.bind(named, s)
		i.note()
		context.AfterFunc(d.ctx, func() { ws.hangUp(farewellOf(context.Cause(d.ctx))) })
		d.running.Go(i.keep)
		return i.hear
	})
}

// farewellOf is how a connection is closed for a cause.
func farewellOf(cause error) (code int, why string) {
	switch e := failure(cause); e.Code {
	case rpc.Unauthenticated:
		return closeExpired, e.Message[:min(len(e.Message), maxReason)]
	case rpc.Forbidden:
		return websocket.ClosePolicyViolation, ""
	}
	return websocket.CloseGoingAway, ""
}

// bind makes the socket one of a session, which outlives it.
func (i *inferSocket) bind(id string, s *session.Session) {
	i.named = id
	i.mu.Lock()
	defer i.mu.Unlock()
	i.session, i.lasting = s, true
}

// hear serves one message, whose text must stay as it is. Requests run beside each other, but nothing is heard until
// initialize is answered.
func (i *inferSocket) hear(text []byte) {
	i.order.Lock()
	defer i.order.Unlock()
	if i.ctx.Err() != nil {
		return
	}
	i.note()
	m, err := rpc.Parse(text, rpc.Limits{Depth: i.cfg().Depth, Dialect: rpc.Infer})
	c := i.hello
	c.Message, c.Received, c.Record = m, time.Now(), &rpc.Record{ID: rpc.NewRecordID()}
	if err == nil {
		i.versioned.Store(m.Versioned())
		err = i.take(&c)
	}
	if err != nil {
		f := form{id: m.ID, versioned: m.Versioned()}
		i.speak(&object{&f, rpc.NewError(m.ID, i.speech.failure(failure(err), c.Record.ID, ""))})
	}
}

func (i *inferSocket) take(c *rpc.Call) (err error) {
	m := c.Message
	if m.IsResponse() {
		return i.answered(m)
	}
	if c.Method, err = inferMethod(m); err != nil {
		return err
	}
	s, err := i.sessionOf(m)
	if err != nil {
		return err
	}
	if c.Client, err = inferClient(m, s); err != nil {
		return err
	}
	if m.IsNotification() {
		c.Flight = i.flight(m, s, nil)
		i.turn(c).serve(i.ctx)
		return nil
	}
	return i.request(c, s)
}

// sessionOf returns the session of a message, nil if it has none. Whose it is is not known yet.
func (i *inferSocket) sessionOf(m *rpc.Message) (*session.Session, error) {
	current, id := i.current(), namedSession(m)
	if current != nil && m.Method == infer.Initialize {
		if _, err := i.Sessions.Resume(i.named, i.endpoint); err != nil {
			current = nil // it has ended, and there may be another one
		}
	}
	if id == "" {
		return current, nil
	}
	s, err := i.Sessions.Resume(id, i.endpoint)
	if err == nil && current != nil && s != current {
		err = rpc.Errorf(rpc.InvalidRequest, "the connection has another session already")
	}
	return s, err
}

// nameOf returns the id of the session that an initialize has taken up.
func (i *inferSocket) nameOf(m *rpc.Message) string {
	if id := namedSession(m); id != "" {
		return id
	}
	return i.named
}

// open makes the socket one of the session that the answer to an initialize tells of. One that ended meanwhile the next
// message would not find either.
func (i *inferSocket) open(id string) {
	if s, err := i.Sessions.Resume(id, i.endpoint); err == nil {
		i.bind(id, s)
	}
}

// request serves a request.
func (i *inferSocket) request(c *rpc.Call, s *session.Session) error {
	if infer.MayNotify(c.Method.Name) {
		return i.brief(c, s)
	}
	ctx, cancel := context.WithCancelCause(i.ctx)
	if err := i.register(c.Message.ID, cancel); err != nil {
		cancel(nil)
		return err
	}
	flight := i.flight(c.Message, s, cancel)
	c.Stopper, c.Flight = rpc.StopFunc(cancel), flight
	t, o := i.turn(c), &inferFrames{form: formOf(c.Message), socket: i}
	t.out, t.flight = o, flight.held
	if s != nil {
		o.session = i.nameOf(c.Message)
	}
	serve := func() {
		defer i.finished()
		defer cancel(nil)
		if err := t.attempt(ctx); err != nil {
			t.fail(failure(because(ctx, err)))
		}
	}
	if c.Method.Name == infer.Initialize {
		serve()
		return nil
	}
	i.running.Go(serve)
	return nil
}

// brief serves a request that takes no place among those in flight, before anything else is heard.
func (i *inferSocket) brief(c *rpc.Call, s *session.Session) error {
	if i.flies(c.Message.ID) {
		return errInFlight(c.Message.ID)
	}
	flight := i.flight(c.Message, s, nil)
	c.Flight = flight
	t := i.turn(c)
	t.out, t.flight = &inferFrames{form: formOf(c.Message), socket: i}, flight.held
	if err := t.attempt(i.ctx); err != nil {
		t.fail(failure(because(i.ctx, err)))
	}
	return nil
}

// flight is the place of a request on its socket, and in the session that the socket has, if it has one.
func (i *inferSocket) flight(m *rpc.Message, s *session.Session, cancel context.CancelCauseFunc) *inferFlight {
	f := &inferFlight{dialogue: i.dialogue, id: m.ID}
	if s != nil {
		f.held = s.Prepare(placeOf(m), cancel)
	}
	return f
}

// inferFlight is the place of a request among those of its socket and session.
type inferFlight struct {
	dialogue *dialogue
	id       rpc.ID
	held     *session.Flight // nil where there is no session
}

var _ rpc.Flight = (*inferFlight)(nil)

// Take implements [rpc.Flight]. On the socket the place has been taken as the request came.
func (f *inferFlight) Take() error {
	if f.held == nil {
		return nil
	}
	return f.held.Take()
}

// Cancel implements [rpc.Flight].
func (f *inferFlight) Cancel(id rpc.ID) bool {
	switch {
	case id.Key() == f.id.Key():
		return false
	case f.held != nil && f.held.Cancel(id):
		return true
	}
	return f.dialogue.stop(id)
}

// inferFrames is the outlet of a request on a socket.
type inferFrames struct {
	form
	socket *inferSocket
	object object
}

func (o *inferFrames) say(m *rpc.Message) bool {
	o.object = object{&o.form, m}
	return o.socket.speak(&o.object)
}

// send implements outlet. What is no part of the answer is left out.
func (o *inferFrames) send(m *rpc.Message) bool {
	return o.part == "" || m.Method != o.part || o.say(m)
}

// finish implements outlet.
func (o *inferFrames) finish(m *rpc.Message, _ int) {
	o.free()
	m, session := o.known(m)
	if session != "" {
		o.socket.open(session)
	}
	if o.say(m) && o.part != "" && m.Err == nil {
		o.say(nil)
	}
}

// end ends a stream that has no response.
func (o *inferFrames) end() bool {
	if o.part == "" {
		return false
	}
	o.free()
	o.say(nil)
	return true
}

// free lets the client use the id again, and notes that the socket is idle from now on.
func (o *inferFrames) free() {
	o.socket.forget(o.id)
	o.socket.note()
}
