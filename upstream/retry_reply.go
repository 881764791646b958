package upstream

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/headgate/headgate/rpc"
)

// errReplyClosed is what a waiting Next returns when its reply is closed.
var errReplyClosed = errors.New("the call was closed")

// repeated is the reply to a call that may run twice. Until its first message was seen the call can be made again.
type repeated struct {
	*trial
	out   *rpc.Reply // that this is the source of
	begun bool       // used by Next only: a message was seen

	mu     sync.Mutex
	reply  *rpc.Reply              // of the last attempt
	cancel context.CancelCauseFunc // of the last attempt; nil of the first
	closed bool
}

var _ rpc.Source = (*repeated)(nil)

// wrap returns a reply that outlasts a failed attempt.
func (t *trial) wrap(reply *rpc.Reply) *rpc.Reply {
	r := &repeated{trial: t, reply: reply}
	r.out = rpc.NewReply(r)
	r.out.Header, r.out.Revision = reply.Header, reply.Revision
	return r.out
}

func (r *repeated) now() *rpc.Reply {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reply
}

// Next implements [rpc.Source].
func (r *repeated) Next() (*rpc.Message, error) {
	for {
		reply := r.now()
		m, err := reply.Next()
		if err == nil || r.begun || errors.Is(err, io.EOF) {
			if r.begun = true; err == nil {
				r.out.Follow(reply)
			}
			return m, err
		}
		if err = r.renew(err); err != nil {
			r.begun = true
			return nil, err
		}
	}
}

// renew makes the call again after it failed. The error is what the client gets instead. What is spoken with the first
// backend was told already, so that one with which something else is spoken is of no use.
func (r *repeated) renew(failed error) error {
	old := r.now()
	_ = old.Close() // it has failed
	ctx, open := r.begin()
	if !open {
		return failed
	}
	reply, err := r.repeat(ctx, failed)
	if err != nil {
		return err
	}
	if reply.Revision != old.Revision {
		_ = reply.Close()
		return failed
	}
	if !r.take(reply) {
		return errReplyClosed
	}
	return nil
}

// begin returns the context of further attempts, which ends when the reply is closed. It returns false if it is.
func (r *repeated) begin() (context.Context, bool) {
	ctx, cancel := context.WithCancelCause(r.ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel != nil {
		r.cancel(nil)
	}
	r.cancel = cancel
	if r.closed {
		cancel(errReplyClosed)
	}
	return ctx, !r.closed
}

// take goes on with another reply, unless this one was closed meanwhile.
func (r *repeated) take(reply *rpc.Reply) bool {
	r.mu.Lock()
	r.reply = reply
	closed := r.closed
	r.mu.Unlock()
	if closed {
		_ = reply.Close()
	}
	return !closed
}

// Answer implements [rpc.Source].
func (r *repeated) Answer(m *rpc.Message) error { return r.now().Answer(m) }

// Close implements [rpc.Source].
func (r *repeated) Close() error {
	r.mu.Lock()
	r.closed = true
	reply, cancel := r.reply, r.cancel
	r.mu.Unlock()
	err := reply.Close()
	if cancel != nil {
		cancel(errReplyClosed)
	}
	return err
}
