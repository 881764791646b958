package edge

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// hear serves one message of a dialogue, whose text must stay as it is. Requests run
// beside each other; everything else is done when it returns. The call is what the
// transport knows of the sender.
func (d *dialogue) hear(from rpc.Call, text []byte) {
	d.order.Lock()
	defer d.order.Unlock()
	if d.ctx.Err() != nil {
		return
	}
	m, err := rpc.Parse(text, rpc.Limits{Depth: d.cfg().Depth})
	if err == nil {
		from.Message, from.Record, from.Received = m, &rpc.Record{}, time.Now()
		err = d.dispatch(&from)
	} else if errors.Is(err, rpc.ErrBatch) {
		err = d.batch(from, text, err)
	}
	if err != nil && !m.IsNotification() {
		d.finish(rpc.NewError(m.ID, mcp.Failure(failure(err))), 0)
	}
}

// refuse answers what is not even a message.
func (d *dialogue) refuse(err error) { d.send(rpc.NewError(rpc.ID{}, mcp.Failure(failure(err)))) }

func (d *dialogue) dispatch(c *rpc.Call) error {
	m := c.Message
	s := d.current()
	switch {
	case isModern(nil, m), m.IsNotification() && s == nil:
		return d.modern(c)
	case m.IsRequest() && m.Method == mcp.Initialize:
		return d.initialize(c)
	case s == nil && m.IsResponse():
		return nil // nobody was asked
	case s == nil:
		return rpc.Errorf(rpc.SessionRequired, "send initialize first, or name the protocol version in params._meta")
	}
	return d.legacy(c, d, &d.running)
}

// modern serves a message that says itself who sends it. A notification need not.
func (d *dialogue) modern(c *rpc.Call) (err error) {
	m := c.Message
	switch _, says := m.Meta(mcp.MetaVersion); {
	case m.IsResponse():
		return nil
	case says || m.IsRequest():
		c.Client, err = mcp.ClientOf(m)
	default:
		c.Client = rpc.Client{Era: rpc.Modern, Revision: mcp.LatestModern}
	}
	if err != nil {
		return err
	}
	if c.Method, err = method(m, c.Client.Revision); err != nil {
		return err
	}
	if m.IsNotification() {
		d.turn(c).serve(d.ctx)
		if m.Method == mcp.Cancelled {
			d.cancelled(m)
		}
		return nil
	}
	ctx, cancel := context.WithCancelCause(d.ctx)
	if err := d.register(m.ID, cancel); err != nil {
		cancel(nil)
		return err
	}
	c.Stopper = rpc.StopFunc(cancel)
	t := d.turn(c)
	t.out = &unlessCancelled{d, ctx}
	if c.Method.Name == mcp.Listen {
		t.out = &farewell{t.out, m.ID}
	}
	t.out = &inCalls{t.out, d, m.ID}
	d.running.Go(func() {
		defer d.finished()
		defer cancel(nil)
		t.serve(ctx)
	})
	return nil
}

func (d *dialogue) register(id rpc.ID, cancel context.CancelCauseFunc) error {
	if d.flies(id) {
		return errInFlight(id)
	}
	if err := d.start(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls[id.Key()] = cancel
	return nil
}

// flies reports whether a request with an id is in flight.
func (d *dialogue) flies(id rpc.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, taken := d.calls[id.Key()]
	return taken
}

func errInFlight(id rpc.ID) error {
	return rpc.Errorf(rpc.InvalidRequest, "a request with id %s is in flight already", rpc.Excerpt(id.String()))
}

// cancelled stops the modern request that a notifications/cancelled names.
func (d *dialogue) cancelled(m *rpc.Message) {
	if id, ok := mcp.CancelledID(m); ok {
		d.stop(id)
	}
}

// stop cancels a request in flight. It reports whether there is one.
func (d *dialogue) stop(id rpc.ID) bool {
	d.mu.Lock()
	cancel := d.calls[id.Key()]
	d.mu.Unlock()
	if cancel != nil {
		cancel(rpc.Errorf(rpc.Cancelled, "the client cancelled the request"))
	}
	return cancel != nil
}

// forget takes a request off those in flight.
func (d *dialogue) forget(id rpc.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.calls, id.Key())
}

// initialize opens the session of the connection. Its answer is out before anything
// else of the session is.
func (d *dialogue) initialize(c *rpc.Call) (err error) {
	if d.current() != nil {
		return rpc.Errorf(rpc.InvalidRequest, "the connection has a session already")
	}
	if c.Client, err = newcomer(c.Message); err != nil {
		return err
	}
	if c.Method, err = method(c.Message, c.Client.Revision); err != nil {
		return err
	}
	t := d.turn(c)
	reply, err := t.handle(d.ctx, c)
	if err != nil {
		return err
	}
	defer t.close(reply)
	response, err := t.response(reply)
	if err != nil {
		return err
	}
	if response.Err != nil {
		d.send(response)
		return nil
	}
	s, err := d.open(c, response)
	if err != nil {
		return err
	}
	d.send(response)
	stream := *c
	stream.Client, stream.Method, stream.Message, stream.Record = s.Client(), streamRow, d.listening, &rpc.Record{}
	d.running.Go(func() { d.listen(&stream) })
	return nil
}

// open makes the session, for the principal that connected only.
func (d *dialogue) open(c *rpc.Call, response *rpc.Message) (*session.Session, error) {
	if !d.same(c.Principal) {
		return nil, rpc.Errorf(rpc.SessionUnknown, "the connection is somebody else's")
	}
	id, err := d.Sessions.Open(d.ctx, c.Client, c.Principal, c.Endpoint, response)
	if err != nil {
		return nil, err
	}
	s, err := d.Sessions.Resume(id, c.Endpoint)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.session = s
	return s, nil
}

// legacy serves a message of the connection's session. What comes of it goes to an
// outlet; a request is among those running until it has been answered.
func (d *dialogue) legacy(c *rpc.Call, out outlet, running *sync.WaitGroup) (err error) {
	m, s := c.Message, d.current()
	c.Client = s.Client()
	if c.Method = answerRow; !m.IsResponse() {
		if c.Method, err = method(m, c.Client.Revision); err != nil {
			return err
		}
	}
	t := d.turn(c)
	if !m.IsRequest() {
		t.serve(d.ctx)
		if m.Method == mcp.Cancelled {
			d.cancelled(m)
		}
		return nil
	}
	if err := d.start(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(d.ctx)
	if t.flight, err = s.Begin(m.ID, cancel); err != nil {
		cancel(nil)
		d.finished()
		return err
	}
	c.Stopper = rpc.StopFunc(cancel)
	t.out = &unlessCancelled{out, ctx}
	running.Go(func() {
		defer d.finished()
		defer cancel(nil)
		defer t.land()
		t.serve(ctx)
	})
	return nil
}
