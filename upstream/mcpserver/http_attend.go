package mcpserver

import (
	"errors"
	"io"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// attended is a call of a client that can be asked something. Servers put their
// questions on the call's own stream or on that of the session, and some answer the
// POST only when they have the client's answer, so whoever pulls must hear both: a goroutine reads
// the call's own stream, one message whenever one is wanted.
type attended struct {
	call      *httpCall
	questions chan *rpc.Message // from the session's stream; the call's while it is in flight
	turn      chan struct{}     // asks for the next message of the call's own stream
	pulled    chan pulled       // it
	closed    chan struct{}

	// Used by the goroutine that pulls the reply, and before it by send.
	wanted bool         // turn was given, and pulled has not come yet
	first  *rpc.Message // a question that came before the POST was answered
	over   error        // what Next returns from now on
}

// pulled is what came of the call's own stream. Both are nil for the head of the
// answer.
type pulled struct {
	message *rpc.Message
	err     error
}

var _ rpc.Source = (*attended)(nil)

// attend makes the call and returns when its answer has begun or a question is there.
func (l *legacyHTTP) attend(k *httpCall, to *upstream.Endpoint) (rpc.Source, error) {
	a := &attended{
		call: k, questions: k.questions, turn: make(chan struct{}, 1), pulled: make(chan pulled, 1),
		closed: make(chan struct{}), wanted: true,
	}
	if !l.d.s.life.run(func() { a.read(to) }) {
		err := l.d.s.fault.down(errClosed, "is shutting down")
		k.finish(err)
		return nil, err
	}
	select {
	case p := <-a.pulled:
		a.wanted = false
		if p.err != nil {
			k.refuse()
			return nil, p.err
		}
	case a.first = <-a.questions:
	}
	return a, nil
}

// read makes the POST, and reads on whenever a message is wanted.
func (a *attended) read(to *upstream.Endpoint) {
	k := a.call
	k.mu.Lock()
	err := k.post(to, nil)
	k.mu.Unlock()
	a.pulled <- pulled{nil, err}
	for err == nil {
		select {
		case <-a.turn:
			var m *rpc.Message
			m, err = k.Next()
			a.pulled <- pulled{m, err}
		case <-a.closed:
			return
		}
	}
}

// Next implements [rpc.Source].
func (a *attended) Next() (*rpc.Message, error) {
	if q := a.first; q != nil {
		a.first = nil
		return q, nil
	}
	for a.over == nil {
		if !a.wanted {
			a.turn <- struct{}{}
			a.wanted = true
		}
		select {
		case q := <-a.questions:
			return q, nil
		case <-a.closed:
			return nil, errCallClosed
		case p := <-a.pulled:
			a.wanted = false
			if m := a.settle(p); m != nil {
				return m, nil
			}
		}
	}
	return nil, a.over
}

// settle returns the message that was pulled, if one was, and notes the end. That the
// session had ended comes too late to make the call again once a question was asked.
func (a *attended) settle(p pulled) *rpc.Message {
	switch {
	case p.err != nil:
		a.over = p.err
		if old, ok := errors.AsType[*stale](p.err); ok {
			a.over = old.cause
		}
	case p.message != nil && p.message.IsResponse():
		a.over = io.EOF
	}
	return p.message
}

// Answer implements [rpc.Source].
func (a *attended) Answer(m *rpc.Message) error { return a.call.Answer(m) }

// Close implements [rpc.Source].
func (a *attended) Close() error {
	close(a.closed)
	return a.call.Close()
}

// assign gives a question of the session's stream to the call it belongs to: the only
// one in flight or, of several of the one client that the session serves, the newest. One
// that comes between calls, as right after the handshake, waits for the next, unless that can be
// another client's.
func (l *legacyHTTP) assign(q *rpc.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var newest *httpCall
	for id, k := range l.calls {
		if k.questions != nil && (newest == nil || id > newest.x.id) {
			newest = k
		}
	}
	switch {
	case newest != nil && newest.offer(q):
	case newest == nil && len(l.orphans) < maxOrphans && !l.over && !(l.turns && l.served):
		l.orphans = append(l.orphans, q)
	default:
		l.d.s.life.run(func() { l.answer(refusal(q.ID)) })
	}
}

// tell gives a notification of the session's stream to a call whose client can be asked,
// and reports whether there is one that takes it.
func (l *legacyHTTP) tell(m *rpc.Message) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.calls {
		if k.questions == nil {
			continue
		}
		select {
		case k.questions <- m.Clone():
			return true
		default:
		}
	}
	return false
}

// offer puts a question to a call and reports whether there was room for it.
func (k *httpCall) offer(q *rpc.Message) bool {
	k.x.expect(q) // first: the answer may come as soon as the question is taken
	select {
	case k.questions <- q:
		return true
	default:
		k.x.close(q)
		return false
	}
}
