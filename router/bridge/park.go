package bridge

import (
	"context"
	"sync"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// park serves a modern client's call. A state that it bears says how the call goes on.
func (b *Bridge) park(ctx context.Context, c *rpc.Call, next rpc.Handler) (*rpc.Reply, error) {
	h, stateful, err := b.open(c)
	if err != nil {
		return nil, err
	}
	if stateful {
		follow(c, h)
	}
	switch {
	case stateful && h.Kind == parkedCall:
		return b.resume(ctx, c, h)
	case stateful && h.Kind == callAgain:
		pages, ok := consented(c.Message)
		if !ok {
			return rpc.Respond(declined(c)), nil
		}
		return b.begin(ctx, withoutInput(c), visited(pages, next))
	case stateful:
		again := *c
		again.Message = c.Message.Fork()
		again.Message.Set(requestState, h.State)
		c = &again
	}
	return b.begin(ctx, c, next)
}

// begin makes a call. Where its client can be asked, the call can outlive the request.
func (b *Bridge) begin(ctx context.Context, c *rpc.Call, next rpc.Handler) (*rpc.Reply, error) {
	if mcp.AskingOf(c.Client.Capabilities) == (mcp.Asking{}) {
		reply, err := next.Handle(ctx, c)
		if err != nil {
			return nil, err
		}
		return wrap(reply, &opening{bridge: b, call: c, reply: reply, release: func(error) {}}), nil
	}
	c = c.Detach()
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	reply, err := next.Handle(life, c)
	if err != nil {
		stop()
		cancel(err)
		return nil, err
	}
	return wrap(reply, &opening{
		bridge: b, call: c, reply: reply, lasting: true, ctx: ctx, stop: stop, release: cancel,
	}), nil
}

// opening is the reply to a modern client's call until its server asks something.
// Then the call is parked, and what the reply returns is the first round of that.
type opening struct {
	bridge  *Bridge
	call    *rpc.Call
	reply   *rpc.Reply
	lasting bool            // the call can outlive the request
	ctx     context.Context // the request's; nil unless lasting
	stop    func() bool     // unties the call from the request
	release func(error)     // ends the call's context

	mu     sync.Mutex
	round  *leg // once the call is parked
	closed bool
}

var _ rpc.Source = (*opening)(nil)

// Next implements [rpc.Source].
func (o *opening) Next() (*rpc.Message, error) {
	if o.round != nil {
		return o.round.Next()
	}
	crossing := crosses(o.call, o.reply)
	for {
		m, err := o.reply.Next()
		switch {
		case err != nil:
			return nil, err
		case m.IsRequest() && crossing:
			if o.parked(m) {
				return o.round.Next()
			}
		case m.Method == mcp.ElicitationComplete && crossing: // modern clients do not know it
		case !m.IsResponse():
			return m, nil
		case crossing:
			return o.bridge.finish(o.call, m), nil
		default:
			return o.bridge.shelter(o.call, m), nil
		}
	}
}

// parked takes up a question of the server's, and reports whether the call is parked
// with it.
func (o *opening) parked(q *rpc.Message) bool {
	if !o.lasting {
		_ = o.reply.Answer(refusal(q.ID))
		return false
	}
	request, ok := toInputRequest(o.call.Client, q)
	if !ok {
		_ = o.reply.Answer(refusal(q.ID))
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false // Next of the closed reply says so
	}
	p := o.bridge.lot.enter(o)
	if p == nil {
		_ = o.reply.Answer(giveUpOn(q.ID, q.Method))
		return false
	}
	o.call.Record.Note(rpc.Parked, q.Method, 0)
	p.ask(q, request)
	o.stop()
	o.round = p.attach(o.ctx, o.call)
	go p.pump()
	return true
}

// Answer implements [rpc.Source]: modern clients answer by calling again.
func (*opening) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }

// Close implements [rpc.Source].
func (o *opening) Close() error {
	o.mu.Lock()
	o.closed = true
	round := o.round
	o.mu.Unlock()
	if round != nil {
		return round.Close()
	}
	err := o.reply.Close()
	if o.stop != nil {
		o.stop()
	}
	o.release(nil)
	return err
}

// shelter wraps a modern server's state. To the server all clients behind the gateway
// may be one, so that only the gateway can keep one user from going on with the call
// of another.
func (b *Bridge) shelter(c *rpc.Call, m *rpc.Message) *rpc.Message {
	if !needsInput(m) {
		return m
	}
	c.Record.Note(rpc.Parked, "", 0)
	if state, ok := m.Get(requestState); ok {
		m.Set(requestState, b.seal(c, handle{Kind: serverState, Expires: stateEnd(), State: state}))
	}
	return m
}

// finish makes a legacy server's response the modern client's.
func (b *Bridge) finish(c *rpc.Call, m *rpc.Message) *rpc.Message {
	if m.Err != nil && m.Err.Code == mcp.CodeURLElicitation {
		return b.visitFirst(c, m)
	}
	return toModern(c, m)
}
