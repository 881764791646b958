package mcpserver

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
)

// duplexCall is a call in flight on a duplex link, and the source of its reply.
type duplexCall struct {
	ctx  context.Context // the call's, as Handle got it: it governs the reply until Close
	conn *duplex
	x    *exchange
	box  inbox

	timer *time.Timer // made when it is first needed; used by Next only
	over  error       // what Next returns from now on; used by Next only

	mu     sync.Mutex
	last   *buffer // holds the message that Next returned
	closed bool
}

var _ rpc.Source = (*duplexCall)(nil)

// Next implements [rpc.Source].
func (k *duplexCall) Next() (*rpc.Message, error) {
	for k.over == nil {
		p, again, err := k.box.next()
		if !k.hold(p.buffer) {
			err, p.message = errCallClosed, nil
		}
		switch {
		case p.message != nil && !p.message.IsResponse() && k.conn.s.endless(k.x):
			k.expire(errEndless) // one that never stops talking is not waited for
		case p.message != nil:
			if k.x.take(p.message) != relay {
				continue
			}
			if k.x.finished {
				k.over = io.EOF
			}
			return p.message, nil
		case err != nil:
			k.over = err
		default:
			k.wait(again)
		}
	}
	k.x.try.End(k.over)
	k.hold(nil)
	return nil, k.over
}

// hold keeps the buffer of the message that is returned, and gives back the one
// before. It reports false if the reply has been closed.
func (k *duplexCall) hold(b *buffer) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conn.pool.put(k.last)
	k.last = b
	if k.closed {
		k.conn.pool.put(b)
		k.last = nil
	}
	return !k.closed
}

// wait returns when there may be something in the inbox, or when it is worth looking
// again. A server that is silent for too long has its call cancelled.
func (k *duplexCall) wait(again <-chan struct{}) {
	var expired <-chan time.Time
	if !k.x.own {
		if pause := k.conn.s.pause(k.x); k.timer == nil {
			k.timer = time.NewTimer(pause)
		} else {
			k.timer.Reset(pause)
		}
		expired = k.timer.C
	}
	select {
	case <-again:
	case <-k.ctx.Done():
		k.over = context.Cause(k.ctx)
		k.conn.abandon(k.x, "the client cancelled")
	case <-expired:
		if _, over := k.conn.s.grace(k.x); over != nil {
			k.expire(over)
		}
	}
}

// expire ends a call that nothing was heard of, or that takes too long.
func (k *duplexCall) expire(why error) {
	k.over = k.conn.s.overdue(k.x, why)
	k.conn.abandon(k.x, "timed out")
}

// Answer implements [rpc.Source].
func (k *duplexCall) Answer(m *rpc.Message) error {
	if !k.x.close(m) {
		return rpc.ErrNoQuestion
	}
	return k.conn.post(m)
}

// Close implements [rpc.Source]. A call that has no response yet is cancelled. Who asked
// something must not wait for an answer that nobody will give.
func (k *duplexCall) Close() error {
	k.x.try.Leave()
	k.conn.abandon(k.x, "the client went away")
	for _, id := range append(k.box.close(k.conn.pool), k.x.unanswered()...) {
		_ = k.conn.post(refusal(id))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	k.conn.pool.put(k.last)
	k.last = nil
	return nil
}
