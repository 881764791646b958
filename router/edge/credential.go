package edge

import (
	"context"
	"errors"
	"time"

	"github.com/headgate/headgate/rpc"
)

// What lasts longer than a call ends with the credential it was opened with: when that
// expires, and at the next heartbeat after it was withdrawn. A modern subscription has a
// result to end with when the time comes, so that whoever serves it sees to that.

// errExpired is why a stream or a connection ends at a certain time.
func errExpired() error {
	return rpc.Errorf(rpc.Unauthenticated, "the credential has expired: come back with another one")
}

// introduce asks the policies about the sender alone, without a message: may he come
// in, and is the session his that he names?
func (x *exchange) introduce() error {
	c := x.arrival(checkRow, x.checking)
	c.Client = x.claimed
	return (&turn{Edge: x.Edge, speech: x.speech, ctx: x.ctx, call: c, out: x}).attempt(x.r.Context())
}

// first returns what is wrong with a request before anything else is: whoever may not
// come in is not told what he would find.
func (x *exchange) first(err error) error {
	if x.asked {
		return err
	}
	if refused := x.introduce(); refused != nil {
		return refused
	}
	return err
}

// lasting returns a context for a stream that ends with the client's credential.
func (x *exchange) lasting(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stop = cancel
	return ctx
}

// until ends a lasting stream at a time; never, if it is zero.
func (x *exchange) until(expires time.Time) {
	if expires.IsZero() {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	cancel := x.stop
	x.expiry = time.AfterFunc(time.Until(expires), func() { cancel(errExpired()) })
}

// recheck ends a lasting stream whose client would not be let in any more.
func (x *exchange) recheck(stop context.CancelCauseFunc) {
	if err := x.introduce(); isRefusal(err) {
		stop(err)
	}
}

// isRefusal tells that a credential is no good from that nobody could say.
func isRefusal(err error) bool {
	e, ok := errors.AsType[*rpc.Error](err)
	return ok && (e.Code == rpc.Unauthenticated || e.Code == rpc.Forbidden)
}

// until ends a connection at a time; never, if it is zero.
func (d *dialogue) until(expires time.Time) {
	if !expires.IsZero() {
		d.expiry = time.AfterFunc(time.Until(expires), func() { d.cancel(errExpired()) })
	}
}

// recheck ends a connection whose client would not be let in any more. The call is what
// is known of the client.
func (d *dialogue) recheck(hello rpc.Call) {
	hello.Method, hello.Message, hello.Record, hello.Received = checkRow, d.checking, &rpc.Record{}, time.Now()
	if err := d.turn(&hello).attempt(d.ctx); isRefusal(err) {
		d.cancel(err)
	}
}

func (d *dialogue) stopExpiry() {
	if d.expiry != nil {
		d.expiry.Stop()
	}
}
