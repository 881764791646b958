package rpc

import (
	"context"
	"time"
)

// Observer is told of calls. Its methods are called by the goroutines that serve them: they
// must be quick, and must not block. They may be called by many goroutines at once.
type Observer interface {
	// Begin is told of a call before any policy has seen it. It may set the record's trace.
	Begin(c *Call)
	// End is told of a call when its reply was closed, or when it was refused: once. The record
	// says how it ended. Attempts can still run, see [Try.OnEnd]. The call and what it points to
	// must not be used after End has returned; the record may.
	End(c *Call)
}

// Observe tells observers of calls, in their order. It belongs outermost, where the reply
// is what the client gets.
func Observe(observers ...Observer) Middleware {
	return func(next Handler) Handler {
		return HandlerFunc(func(ctx context.Context, c *Call) (*Reply, error) {
			if c.Record == nil {
				return next.Handle(ctx, c)
			}
			c.Record.observe(c, &observers)
			for _, o := range observers {
				o.Begin(c)
			}
			reply, err := next.Handle(ctx, c)
			if err != nil {
				c.Record.end(err)
				return nil, err
			}
			reply.record = c.Record
			return reply, nil
		})
	}
}

func (r *Record) observe(c *Call, observers *[]Observer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.call, r.observers, r.began = c, observers, c.Received
}

// saw notes what the client gets.
func (r *Record) saw(m *Message, err error) {
	switch {
	case IsEnd(err):
		return
	case err == nil && m.IsRequest():
		r.Note(Asked, clipped(m.Method), 0)
		return
	case err == nil && !m.IsResponse():
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.answered != 0 || r.ended != 0:
	case err != nil:
		r.outcome.Err = err
	default:
		r.answered, r.outcome = r.now(), outcomeOf(m)
	}
}

// end ends the call: with an error if there was no reply.
func (r *Record) end(err error) {
	r.mu.Lock()
	c, observers := r.call, r.observers
	r.call, r.observers = nil, nil
	if c == nil {
		r.mu.Unlock()
		return
	}
	switch {
	case err != nil:
		r.outcome.Err = err
	case c.Message.IsRequest() && r.answered == 0 && r.outcome.Err == nil:
		r.outcome.Err = errLeft
	}
	r.ended = r.now()
	r.mu.Unlock()
	for _, o := range *observers {
		o.End(c)
	}
}

// Progress is how far a call has come.
type Progress struct {
	Age      time.Duration // since it was received
	Answered time.Duration // when there was a response; 0 before
	Ended    time.Duration // when it ended; 0 before
	Waiting  string        // the queue that it waits in; empty for none
	Outcome  Outcome
	Events   []Event
	Attempts []Attempt
}

// Progress returns how far the call has come. Unlike the call itself it may be asked for
// at any time.
func (r *Record) Progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Progress{Age: r.now(), Answered: r.answered, Ended: r.ended, Outcome: r.outcome}
	if r.seldom != nil {
		p.Waiting = r.seldom.waiting
	}
	p.Events = r.appendEvents(nil)
	if r.attempts > 0 {
		for t := &r.first; t != nil; t = t.next {
			p.Attempts = append(p.Attempts, t.sofar())
		}
	}
	return p
}
