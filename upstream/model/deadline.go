package model

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
)

// deadlines are how long an attempt may take. 0 is for ever.
type deadlines struct {
	first, between time.Duration
	total          time.Duration // what is left of it
	whole          time.Duration // as it was when the call was first sent
}

// deadlines returns how long a backend may take for a call: as the routing rule says that it matches, else as the model's configuration does.
// Only streams show their first token. A model that a backend may have to load first has the time that this may take.
func (m *replica) deadlines(c *rpc.Call, l *load) deadlines {
	cfg := &m.pool.cfg.Deadlines
	d := deadlines{total: max(1, cfg.Total-time.Since(l.began)), whole: cfg.Total}
	if l.stream {
		d.first, d.between = cfg.FirstToken, cfg.BetweenTokens
	}
	if r := c.Route; r != nil {
		if r.Timeout > 0 {
			d.first, d.between = r.Timeout, r.Timeout
		}
		if r.MaxTimeout > 0 {
			d.total, d.whole = r.MaxTimeout, r.MaxTimeout // what is left of it, by who makes calls again
		}
	}
	if d.first > 0 && m.unsure(l) {
		d.first = max(d.first, m.pool.cfg.WarmUp.Timeout)
	}
	return d
}

// attempt is a call as one backend makes it, and the source of its reply. It ends the call when the backend takes too long: until the first
// part of the answer, between two parts, or in all. What a client takes to read is not the backend's.
type attempt struct {
	// What each part of the answer needs lies together.
	reply  *rpc.Reply
	began  time.Time
	waited time.Duration // for the backend; of who pulls alone
	since  atomic.Int64  // when it began to wait for the backend, since began; 0 if it does not
	begun  atomic.Bool   // a message was seen
	over   atomic.Bool   // the slot was given back

	replica *replica
	call    *rpc.Call
	load    *load
	ctx     context.Context //nolint:containedctx // of the attempt, ended by cancel
	cancel  context.CancelCauseFunc
	parent  context.Context //nolint:containedctx // of the call
	may     deadlines
	before  rpc.Usage // of earlier attempts
	expired atomic.Pointer[rpc.Error]

	mu    sync.Mutex // held to set the timer
	timer *time.Timer
}

var _ rpc.Source = (*attempt)(nil)

func newAttempt(ctx context.Context, m *replica, c *rpc.Call, l *load) *attempt {
	now := time.Now()
	if l.began.IsZero() {
		l.began = now
	}
	a := &attempt{replica: m, call: c, load: l, parent: ctx, began: now, before: c.Record.Usage()}
	a.may = m.deadlines(c, l)
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.timer = time.AfterFunc(a.left(0), a.check)
	return a
}

// silence returns how long the backend may say nothing now.
func (a *attempt) silence() time.Duration {
	if a.begun.Load() {
		return a.may.between
	}
	return a.may.first
}

// left returns when to look next whether a deadline has passed.
func (a *attempt) left(now time.Duration) time.Duration {
	left := a.may.total - now
	switch since := time.Duration(a.since.Load()); {
	case a.silence() == 0:
	case !a.begun.Load():
		left = min(left, a.may.first-now)
	case since > 0:
		since = max(since, a.call.Record.LastPart().Sub(a.began))
		left = min(left, a.may.between-(now-since))
	default: // it does not wait
		left = min(left, a.may.between)
	}
	return left
}

// check ends the attempt if it takes too long. It is called when that may be so, and is cheaper than a timer that is set anew with each token.
func (a *attempt) check() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over.Load() {
		return
	}
	now := time.Since(a.began)
	if left := a.left(now); left > 0 {
		a.timer.Reset(left)
		return
	}
	switch {
	case now >= a.may.total:
		a.expire("total", "did not finish within %v", a.may.whole)
	case a.begun.Load():
		a.expire("between_tokens", "sent nothing more for %v", a.may.between)
	default:
		a.expire("first_token", "sent nothing within %v", a.may.first)
	}
}

func (a *attempt) expire(deadline, format string, d time.Duration) {
	err := &rpc.Error{
		Code: rpc.UpstreamTimeout, Upstream: a.replica.pool.cfg.Name, Data: map[string]any{"deadline": deadline},
		Message: fmt.Sprintf("the backend of model %q ", a.replica.pool.cfg.Name) + fmt.Sprintf(format, d),
	}
	a.expired.Store(err)
	a.cancel(err)
}

// Next implements [rpc.Source].
func (a *attempt) Next() (*rpc.Message, error) {
	if a.begun.Load() {
		a.waits()
	}
	m, err := a.reply.Next()
	a.heard()
	switch {
	case err == nil && !m.IsResponse():
		if !a.begun.Load() {
			a.begins()
		}
	case err == nil:
		a.finish(m)
	case !rpc.IsEnd(err):
		err = a.fails(err)
	}
	return m, err
}

var _ rpc.Pusher = (*attempt)(nil)

// Push implements [rpc.Pusher]. When a part came that was pushed the record says: whoever takes it does not wait for the client, so that
// all of the time is the backend's.
func (a *attempt) Push(to rpc.Taker) (again bool) {
	if a.call.Record == nil {
		return false
	}
	a.waits()
	again = a.reply.PushTo(to)
	a.heard()
	return again
}

// begins notes that the first part of the answer has come. What is waited for from now on may have less time than that had.
func (a *attempt) begins() {
	a.begun.Store(true)
	a.replica.answered(a.load)
	if between, first := a.may.between, a.may.first; between > 0 && (first == 0 || between < first) {
		a.check()
	}
}

// waits notes that the attempt waits for the backend from now on.
func (a *attempt) waits() { a.since.Store(max(1, int64(time.Since(a.began)))) }

// heard notes that it does not wait any more.
func (a *attempt) heard() {
	a.waited += time.Since(a.began) - time.Duration(a.since.Swap(0))
}

// finish notes that the backend has answered.
func (a *attempt) finish(m *rpc.Message) {
	if a.over.Load() {
		return
	}
	a.begun.Store(true)
	a.replica.answered(a.load)
	a.leave()
	if m.Err != nil {
		return
	}
	a.replica.Finished()
	used := a.call.Record.Usage()
	input, output := used.Input-a.before.Input, used.Output-a.before.Output
	if took := time.Since(a.began); took < 2*a.waited { // else the client was slow, and nobody knows how fast the backend was
		a.replica.pace.learn(input+output, took, a.replica.pool.now())
	}
	if !used.Estimated {
		a.replica.pool.prompts.Observe(a.load.name, a.load.bytes, input)
	}
	if a.load.open && output > 0 {
		a.replica.pool.answers.add(output)
	}
}

// fails notes that the attempt has failed, and returns why.
func (a *attempt) fails(err error) error {
	if expired := a.expired.Load(); expired != nil && a.parent.Err() == nil {
		err = expired
	}
	if a.over.Load() {
		return err
	}
	a.leave()
	if a.parent.Err() != nil {
		return err // whoever ended the call has
	}
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return err
	}
	begun := a.begun.Load()
	switch e.Code {
	case rpc.UpstreamDown, rpc.UpstreamTimeout, rpc.UpstreamFailed:
		if begun {
			a.replica.Broke()
		}
	default:
		return err
	}
	if e.Code == rpc.UpstreamDown || e.Code == rpc.UpstreamTimeout && !begun {
		a.replica.lost(a.load)
	}
	return err
}

// leave gives the slot back.
func (a *attempt) leave() {
	if a.over.Swap(true) {
		return
	}
	a.mu.Lock()
	a.timer.Stop()
	a.mu.Unlock()
	a.replica.leave(a.load.tokens())
}

// Answer implements [rpc.Source].
func (a *attempt) Answer(m *rpc.Message) error { return a.reply.Answer(m) }

// Close implements [rpc.Source].
func (a *attempt) Close() error {
	defer a.cancel(nil)
	defer a.leave() // also where it panics
	return a.reply.Close()
}
