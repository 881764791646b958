package session

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// past is what a session had subscribed to before this process knew it. It is taken up
// again when its principal first uses it: nobody else can make the gateway do anything
// for a session.
type past struct {
	waiting       atomic.Bool
	mu            sync.Mutex
	subscriptions []state.ResourceSubscription
}

func (p *past) take(subs []state.ResourceSubscription) {
	p.subscriptions = subs
	p.waiting.Store(len(subs) > 0)
}

// OnRecall sets what takes up again what a session had subscribed to, which the session's
// first call in this process waits for. It must not block for long.
func (r *Registry) OnRecall(f func(ctx context.Context, c *rpc.Call, subs []state.ResourceSubscription)) {
	r.onRecall.Store(&f)
}

// restore takes up again what the session had, before the first call goes on.
func (s *Session) restore(ctx context.Context, c *rpc.Call) {
	if !s.past.waiting.Load() {
		return
	}
	s.past.mu.Lock()
	defer s.past.mu.Unlock()
	if !s.past.waiting.Load() {
		return
	}
	if f := s.registry.onRecall.Load(); f != nil {
		(*f)(ctx, c, s.past.subscriptions)
	}
	s.past.subscriptions = nil
	s.past.waiting.Store(false)
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	if ended { // meanwhile, so that nobody would give it up
		s.registry.released(s)
	}
}

// Subscribed remembers a subscription of a live session. Once it returns nil, that
// outlives a crash.
func (r *Registry) Subscribed(ctx context.Context, key string, sub state.ResourceSubscription) error {
	s, ok := r.shard(key).find(key)
	if !ok {
		return errUnknown()
	}
	err := r.cfg().Store.Subscribe(ctx, key, sub, r.until(s.created))
	if errors.Is(err, state.ErrFull) {
		return &rpc.Error{Code: rpc.Busy, Message: "the session has subscribed to too much already", Cause: err}
	}
	if err != nil {
		return notWritten("the subscription", err)
	}
	return nil
}

// Unsubscribed forgets a subscription.
func (r *Registry) Unsubscribed(ctx context.Context, key, uri string) error {
	if err := r.cfg().Store.Unsubscribe(ctx, key, uri); err != nil {
		return notWritten("the end of the subscription", err)
	}
	return nil
}

func notWritten(what string, err error) *rpc.Error {
	return &rpc.Error{Code: rpc.Internal, Message: what + " could not be written", Cause: err}
}
