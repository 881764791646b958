package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// The schedule of calls that are made again.
const (
	firstPause = 50 * time.Millisecond
	// longestPause is how long a call waits at most until it is made again. An upstream that wants more is not asked
	// again: its client is told when to come back.
	longestPause = 5 * time.Second
)

// Retries makes calls again that failed: on another backend where there is one, only before anything of an answer was
// seen, and only calls that certainly did not run or may run twice. It may be used concurrently.
type Retries struct {
	attempts int
	budget   *budget
}

var _ Retry = (*Retries)(nil)

// NewRetries returns what makes the calls of an upstream again.
func NewRetries(cfg config.Retry) *Retries {
	return &Retries{attempts: cfg.Attempts, budget: newBudget(cfg.Budget)}
}

// Handle implements [Retry].
func (r *Retries) Handle(ctx context.Context, c *rpc.Call, p *Pool) (*rpc.Reply, error) {
	r.budget.earn()
	var tried Tried
	var began time.Time
	if allotted(c) > 0 {
		began = time.Now()
	}
	reply, err := p.Once(ctx, c, &tried)
	lasting := c.Message.IsRequest() && repeatable(c)
	if r.attempts < 2 || err == nil && !lasting {
		return reply, err
	}
	t := &trial{retries: r, ctx: ctx, call: c, pool: p, tried: tried, left: r.attempts - 1, began: began}
	if err != nil {
		if reply, err = t.repeat(ctx, err); err != nil || !lasting {
			return reply, err
		}
	}
	return t.wrap(reply), nil
}

// trial is a call that may be made again.
type trial struct {
	retries *Retries
	ctx     context.Context
	call    *rpc.Call
	pool    *Pool
	tried   Tried
	left    int                         // how often it may be made again
	began   time.Time                   // where a rule says how long it may take
	pauses  *backoff.ExponentialBackOff // nil before the first
}

// repeat makes a call again that failed, until it does not or there is an end to it. The error is then the last.
func (t *trial) repeat(ctx context.Context, err error) (*rpc.Reply, error) {
	for {
		pause, again := t.again(err)
		if !again || !sleep(ctx, pause) {
			return nil, err
		}
		t.call.Record.Again(rpc.CodeOf(err).String())
		if t.bound() {
			t.tried = Tried{}
		}
		var reply *rpc.Reply
		if reply, err = t.pool.Once(ctx, t.within(), &t.tried); err == nil {
			return reply, nil
		}
	}
}

// within returns the call with what is left of its time.
func (t *trial) within() *rpc.Call {
	if t.began.IsZero() {
		return t.call
	}
	return after(t.call, time.Since(t.began))
}

// bound reports whether the call can be made again only where it was made: there is no other backend, or none that knows what
// the call is about.
func (t *trial) bound() bool {
	return t.tried.Len() >= t.pool.Len() || t.pool.cfg.Prefer != nil && t.pool.cfg.Prefer(t.call) != nil
}

// again reports whether a call that failed is made again, and after which pause. A retry is paid for then.
func (t *trial) again(err error) (time.Duration, bool) {
	e, known := errors.AsType[*rpc.Error](err)
	if !known || t.left == 0 || t.ctx.Err() != nil || !t.mends(e) {
		return 0, false
	}
	pause := t.pause()
	if t.bound() {
		pause = max(pause, e.RetryAfter) // it is the same backend that said so
	}
	if pause > longestPause {
		return 0, false
	}
	if deadline, ok := t.ctx.Deadline(); ok && time.Until(deadline) <= pause {
		return 0, false
	}
	if most := allotted(t.call); most > 0 && time.Since(t.began)+pause >= most {
		return 0, false
	}
	if !e.NotRun && t.call.Record.Afford() != nil || !t.retries.budget.spend() {
		return 0, false
	}
	t.left--
	return pause, true
}

// mends reports whether it can be of use, and does no harm, to make a call again that failed so.
func (t *trial) mends(e *rpc.Error) bool {
	switch {
	case e.NotRun:
		return e.Code == rpc.UpstreamDown || e.Code == rpc.UpstreamTimeout || transient(e)
	case !repeatable(t.call):
		return false
	}
	return e.Code == rpc.UpstreamDown || transient(e)
}

// repeatable reports whether a call may run twice.
func repeatable(c *rpc.Call) bool { return c.Target.Idempotent || c.Method.Idempotent }

// transient reports whether an upstream said by an HTTP status that it may be able to answer later.
func transient(e *rpc.Error) bool {
	var answer interface{ HTTPStatus() int }
	if e.Code != rpc.UpstreamFailed && e.Code != rpc.Overloaded || !errors.As(e.Cause, &answer) {
		return false
	}
	switch answer.HTTPStatus() {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// pause returns how long to wait before the next attempt.
func (t *trial) pause() time.Duration {
	if t.pauses == nil {
		t.pauses = backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(firstPause), backoff.WithMultiplier(2), backoff.WithMaxInterval(longestPause), backoff.WithMaxElapsedTime(0))
	}
	return t.pauses.NextBackOff()
}

// sleep waits, and reports whether the call is still wanted then.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
