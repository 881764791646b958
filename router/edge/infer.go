package edge

import (
	"context"
	"net/http"

	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// The inference dialect over HTTP: a POST is one message, its answer one object, or a stream of them. A session is named
// by a header, and may be left out: it is needed to cancel from another request, and for what the gateway remembers of it.
// When the client goes away, the request's context ends, and the call with it.

// speakInfer makes the exchange one of the inference dialect.
func (x *exchange) speakInfer() {
	x.speech, x.name = &inferDialect, rpc.NewRecordID()
	x.lines = !prefersEvents(x.r.Header["Accept"])
	x.accepts = accepts{json: true, stream: true} // whoever asks for a stream in so many words takes one
	x.out = &inferAnswer{x: x}
}

func (x *exchange) serveInfer() error {
	switch {
	case x.r.Method == http.MethodPost:
		return x.infer()
	case x.r.Method == http.MethodGet && wantsUpgrade(x.r):
		return x.upgradeInfer()
	}
	return wrongVerb(x.r.Method, "GET, POST, OPTIONS")
}

// infer reads one message and serves it.
func (x *exchange) infer() error {
	if err := checkMedia(x.r.Header); err != nil {
		return err
	}
	body, err := x.receive()
	if err != nil {
		return err
	}
	m, err := rpc.Parse(body, rpc.Limits{Depth: x.cfg().Depth, Dialect: rpc.Infer})
	a := x.out.(*inferAnswer)
	x.id, a.form = m.ID, formOf(m)
	if err != nil {
		return err
	}
	row, err := inferMethod(m)
	if err != nil {
		return err
	}
	named, s, err := x.inferSession(m)
	if err != nil {
		return err
	}
	a.session = named
	client, err := inferClient(m, s)
	if err != nil {
		return err
	}
	return x.runInfer(x.newCall(client, row, m), s)
}

// runInfer sends a call through the handler and writes what comes back.
func (x *exchange) runInfer(c *rpc.Call, s *session.Session) error {
	stands := c.Method.Name == x.speech.standing
	ctx := x.inferContext(c, s, stands)
	x.await(true)
	reply, err := x.handle(ctx, c)
	if err != nil {
		return because(ctx, err)
	}
	defer x.close(reply)
	x.keepHeader(reply.Header)
	switch {
	case c.Message.IsNotification():
		x.exhaust(reply)
		x.acknowledge(http.StatusAccepted)
		return nil
	case stands:
		x.until(c.Principal.Expires)
		x.open(reply.Header)
	}
	return because(ctx, x.relay(reply))
}

// inferContext returns the context of a call, which ends with its client, or when another request of its session cancels
// it.
func (x *exchange) inferContext(c *rpc.Call, s *session.Session, stands bool) context.Context {
	ctx := x.r.Context()
	var cancel context.CancelCauseFunc
	switch {
	case stands:
		ctx = x.lasting(ctx)
		cancel = x.stop
	case s != nil:
		ctx, x.halt = context.WithCancelCause(ctx)
		cancel = x.halt
	default:
		return x.haltable(ctx)
	}
	if s != nil {
		x.flight = s.Prepare(placeOf(c.Message), cancel)
		c.Flight = x.flight
	}
	return ctx
}

// placeOf returns the id under which a message takes a place among the calls of its session in flight. What may be a
// notification takes none: a client that has taken all places has to be able to cancel, and to say that it is there.
func placeOf(m *rpc.Message) rpc.ID {
	if infer.MayNotify(m.Method) {
		return rpc.ID{}
	}
	return m.ID
}

// because returns why a call ended in an error: what ended its context, if anything did.
func because(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

// inferMethod returns the row of a message's method.
func inferMethod(m *rpc.Message) (*rpc.Method, error) {
	switch row, ok := infer.Lookup(m.Method); {
	case m.IsResponse():
		return nil, errNoQuestion()
	case m.IsNotification() && !infer.MayNotify(m.Method):
		return nil, rpc.Errorf(rpc.InvalidRequest, "%s is a request, which needs an id", rpc.Excerpt(m.Method))
	case ok:
		return row, nil
	}
	return infer.Foreign(m.Method), nil
}

// errNoQuestion refuses an answer to nothing.
func errNoQuestion() error { return rpc.Errorf(rpc.InvalidRequest, "an answer to what was not asked") }

// inferSession returns the session that a message belongs to, and how the client names it; nil if it belongs to none.
// Browsers cannot set headers of WebSockets, so initialize may name the session that is to be taken up.
func (x *exchange) inferSession(m *rpc.Message) (id string, s *session.Session, err error) {
	if id = x.r.Header.Get(headerSession); id == "" {
		id = namedSession(m)
	}
	if id == "" {
		return "", nil, nil
	}
	if s, err = x.Sessions.Resume(id, x.endpoint); err != nil {
		x.claimed = rpc.Client{Session: noSession}
		return "", nil, err
	}
	x.claimed = s.Client()
	return id, s, nil
}

// namedSession returns the session that an initialize asks to take up again; empty if it asks for none.
func namedSession(m *rpc.Message) string {
	if m.Method != infer.Initialize {
		return ""
	}
	id, _ := m.Text("sessionId")
	return id
}

// inferClient is who sends a message, as far as that is known before anybody was asked for a credential.
func inferClient(m *rpc.Message, s *session.Session) (c rpc.Client, err error) {
	if s != nil {
		return s.Client(), nil
	}
	if m.Method == infer.Initialize {
		err = identity(m, &c)
	}
	return c, err
}
