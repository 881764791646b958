package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// resume goes on with a parked call. A round that was answered before is not answered
// again: who repeats a request gets what the first one got.
func (b *Bridge) resume(ctx context.Context, c *rpc.Call, h handle) (*rpc.Reply, error) {
	responses, err := responsesOf(c.Message)
	if err != nil {
		return nil, err
	}
	p := b.lot.find(h.Call)
	if p == nil {
		return rpc.Respond(expired(c)), nil
	}
	answers, round, err := p.answer(ctx, c, h.Round, responses)
	if err != nil {
		return nil, err
	}
	if round == nil {
		return rpc.Respond(expired(c)), nil
	}
	for _, m := range answers {
		if err := p.reply.Answer(m); err != nil && !errors.Is(err, rpc.ErrNoQuestion) {
			b.log.DebugContext(ctx, "answer was not taken", "upstream", c.Target.Upstream, "error", err)
		}
	}
	return wrap(p.reply, round), nil
}

// responsesOf reads the client's answers, each of which is an object.
func responsesOf(m *rpc.Message) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	text, ok := m.Get(inputResponses)
	if !ok {
		return out, nil
	}
	o, err := rpc.ReadObject(text)
	if err != nil {
		return nil, rpc.Errorf(rpc.InvalidParams, "params.inputResponses must be an object")
	}
	o.Each(func(name string, value json.RawMessage) bool {
		if value[0] != '{' {
			err = rpc.Errorf(rpc.InvalidParams, "params.inputResponses.%s must be an object", rpc.Excerpt(name))
		}
		out[name] = value
		return err == nil
	})
	return out, err
}

// answer attaches a request to the round that follows the one it answers. It returns
// the answers for the server, which are none if they were given before, and no leg if the call
// is over without an answer.
func (p *parked) answer(ctx context.Context, c *rpc.Call, round int, responses map[string]json.RawMessage) ([]*rpc.Message, *leg, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended && round == p.round:
		return nil, nil, nil
	case round == p.round-1:
		return nil, p.join(ctx, c), nil
	case round != p.round:
		return nil, nil, rpc.Errorf(rpc.InvalidParams, "params.requestState is of a round that was answered before")
	case p.round+1 > p.lot.cfg.Rounds:
		return nil, nil, rpc.Errorf(rpc.InvalidRequest, "the call came back more than %d times", p.lot.cfg.Rounds)
	}
	p.timer.Stop()
	p.round++
	p.turn = &turn{}
	p.attached = 0
	var answers []*rpc.Message
	var open []pending
	for _, q := range p.open {
		if value, ok := responses[q.key]; ok {
			answers = append(answers, rpc.NewResult(q.id, value))
		} else {
			open = append(open, q)
		}
	}
	p.open = open
	return answers, p.join(ctx, c), nil
}

// attach is join for who does not hold the lock.
func (p *parked) attach(ctx context.Context, c *rpc.Call) *leg {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.join(ctx, c)
}

func (p *parked) join(ctx context.Context, c *rpc.Call) *leg {
	p.attached++
	return &leg{parked: p, turn: p.turn, ctx: ctx, call: c, closed: make(chan struct{})}
}

// leg is the reply to one request of a client's in a call of several rounds.
type leg struct {
	parked *parked
	turn   *turn
	ctx    context.Context // the request's
	call   *rpc.Call
	over   bool // used by Next only
	closed chan struct{}
}

var _ rpc.Source = (*leg)(nil)

// Next implements [rpc.Source].
func (l *leg) Next() (*rpc.Message, error) {
	if l.over {
		return nil, io.EOF
	}
	for {
		m, wait, changed := l.look()
		if m != nil {
			if m = l.address(m); m != nil {
				return m, nil
			}
			continue
		}
		l.parked.mu.Lock()
		failure := l.turn.failure
		l.parked.mu.Unlock()
		if failure != nil {
			return nil, failure
		}
		if err := l.sleep(wait, changed); err != nil {
			return nil, err
		}
	}
}

// look returns the next message of the round: a notification or its outcome. If there
// is none it says how long to wait, and which channel wakes it before that.
func (l *leg) look() (*rpc.Message, time.Duration, <-chan struct{}) {
	p := l.parked
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.turn == p.turn && len(p.notes) > 0 {
		m := p.notes[0]
		p.notes = p.notes[1:]
		p.size -= m.Size()
		return m, 0, nil
	}
	var wait time.Duration
	if l.turn == p.turn {
		wait = p.settle()
	}
	return l.turn.outcome, wait, p.changed
}

func (l *leg) sleep(wait time.Duration, changed <-chan struct{}) error {
	var expired <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-changed:
	case <-expired:
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	case <-l.closed:
		return errClosed
	}
	return nil
}

// address makes a message that answers the call as it was first made one that answers
// this request. It returns nil if it says nothing to it.
func (l *leg) address(m *rpc.Message) *rpc.Message {
	if m.IsResponse() {
		l.over = true
		out := m.Clone()
		out.SetID(l.call.Message.ID)
		out.ID = l.call.Message.ID
		if needsInput(m) {
			return out
		}
		return l.parked.bridge.finish(l.call, out)
	}
	if m.Method != mcp.Progress {
		return m
	}
	token, ok := l.call.Message.Meta(mcp.MetaProgress)
	if !ok {
		return nil
	}
	m.Set(mcp.MetaProgress, token)
	return m
}

// Answer implements [rpc.Source]: modern clients answer by calling again.
func (*leg) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }

// Close implements [rpc.Source]. A client that goes away while its call runs cancels
// it; one that has been told what to do next has not gone.
func (l *leg) Close() error {
	close(l.closed)
	p := l.parked
	p.mu.Lock()
	gone := false
	if l.turn == p.turn && l.turn.outcome == nil && l.turn.failure == nil {
		p.attached--
		gone = p.attached == 0
	}
	p.mu.Unlock()
	if gone {
		p.giveUp(anyRound, rpc.Errorf(rpc.Cancelled, "the client went away"))
	}
	return nil
}
