package mcpserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/upstream"
)

// carrier is what the eras do differently about a call over HTTP.
type carrier interface {
	// lost reports whether an answer means that the link is of no more use and the
	// call did not run. The message is nil if the answer held none.
	lost(k *httpCall, body []byte, m *rpc.Message) bool
	// elsewhere reports whether the response to a request that was merely accepted
	// can come on another stream.
	elsewhere() bool
	// resumable returns where a stream that was cut can be gone on with; nil if that
	// is not possible.
	resumable() *upstream.Endpoint
	// release forgets a call. If it was given up for a reason, the server is told.
	release(k *httpCall, reason string)
	// respond sends a message of which no response is expected.
	respond(ctx context.Context, m *rpc.Message) error
}

// httpCall is a call in flight over HTTP, and the source of its reply. It has no
// goroutine of its own: whoever pulls reads from the connection.
type httpCall struct {
	d       *httpDialer
	carrier carrier
	x       *exchange
	parent  context.Context // the call's, as Handle got it: it governs the reply until Close
	ctx     context.Context // parent, and ended when the upstream is silent for too long
	cancel  context.CancelCauseFunc
	watch   *time.Timer
	header  [6]upstream.Field // room for the usual ones
	box     inbox             // for what comes on another stream
	// questions are those that came on the session's stream; nil where none are asked.
	questions chan *rpc.Message

	mu     sync.Mutex // held by Next while it reads
	resp   *upstream.Response
	ready  *rpc.Message     // a response that has been read whole
	buffer *buffer          // its bytes
	events *frame.SSEReader // or the stream it comes on
	place  place            // how far that was read
	batch  *unpacking       // that is being read; nil in most revisions
	over   error            // what Next returns from now on
}

var _ rpc.Source = (*httpCall)(nil)

// shortTail is what is cheaper to copy than to name to the system.
const shortTail = 8 << 10

// headRoom is room before a message for the head of its request.
var headRoom [1 << 10]byte

// newHTTPCall begins a call: from now on its time runs.
func newHTTPCall(ctx context.Context, d *httpDialer, c carrier, x *exchange) *httpCall {
	k := &httpCall{d: d, carrier: c, x: x, parent: ctx, box: inbox{limit: d.maxResult}}
	k.ctx, k.cancel = context.WithCancelCause(ctx)
	if !x.own {
		silence, _ := d.s.allowed(x)
		k.watch = time.AfterFunc(silence, k.expire)
	}
	return k
}

// expire ends a call that nothing was heard of, or that takes too long.
func (k *httpCall) expire() {
	grace, over := k.d.s.grace(k.x)
	if over == nil {
		k.watch.Reset(grace)
		return
	}
	k.cancel(over)
}

// post sends the call's message and reads the answer as far as it is there at once: all of a
// JSON answer, the header of an event stream.
func (k *httpCall) post(to *upstream.Endpoint, header []upstream.Field) error {
	b := k.d.pool.get()
	if header == nil {
		header = k.header[:0]
	}
	body, tail := k.x.message.Split(append(b.bytes, headRoom[:]...))
	if len(tail) < shortTail {
		body, tail = append(body, tail...), nil
	}
	b.bytes = body
	resp, err := k.d.client.Do(k.ctx, &upstream.Request{
		Method: http.MethodPost, Endpoint: to, Header: withTrace(header, k.x), Body: body, Room: len(headRoom), Tail: tail,
	})
	k.d.pool.put(b)
	if err == nil {
		k.d.s.board.answered()
		k.resp = resp
		err = k.open()
	} else {
		err = k.broken(err, "cannot be reached")
	}
	if err != nil {
		k.finish(err)
	}
	return err
}

// broken says why the exchange did not go on.
func (k *httpCall) broken(err error, doing string) error {
	cause := context.Cause(k.ctx)
	switch {
	case k.parent.Err() != nil:
		k.giveUp(err, "the client cancelled")
		return context.Cause(k.parent)
	case errors.Is(cause, errIdle), errors.Is(cause, errEndless):
		k.giveUp(err, "timed out")
		return k.d.s.overdue(k.x, cause)
	case cause != nil:
		if errors.Is(cause, errCallClosed) {
			k.giveUp(err, "the client went away")
		}
		return cause
	}
	fault := k.d.s.fault.exchangeFault(err, doing)
	fault.NotRun = errors.Is(err, upstream.ErrNotSent)
	return fault
}

// giveUp tells the server, if it may have seen the call, that nobody waits for it.
func (k *httpCall) giveUp(err error, reason string) {
	if !errors.Is(err, upstream.ErrNotSent) && !k.x.own && !k.x.finished {
		k.carrier.release(k, reason)
	}
}

// Next implements [rpc.Source].
func (k *httpCall) Next() (*rpc.Message, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over != nil {
		k.recycle()
		return nil, k.over
	}
	if m := k.ready; m != nil {
		k.ready = nil
		k.settle(io.EOF)
		return m, nil
	}
	m, err := k.pull()
	switch {
	case err != nil:
		k.finish(err)
		return nil, err
	case k.x.finished:
		if k.resp != nil {
			_ = k.resp.Finish()
		}
		k.settle(io.EOF)
	}
	return m, nil
}

// pull reads on until there is a message for the client.
func (k *httpCall) pull() (*rpc.Message, error) {
	for {
		m, err := k.receive()
		if err != nil {
			return nil, err
		}
		if k.watch != nil {
			k.watch.Reset(k.d.s.pause(k.x))
		}
		switch k.x.take(m) {
		case relay:
			return m, nil
		case announce:
			k.d.s.announce(m)
		case pong:
			err = k.carrier.respond(k.ctx, rpc.NewResult(m.ID, []byte("{}")))
		case deny:
			err = k.carrier.respond(k.ctx, refusal(m.ID))
		case discard:
		}
		if err != nil {
			k.d.s.log.DebugContext(k.ctx, "answer to a question was not taken", "method", rpc.Excerpt(m.Method), "error", err.Error())
		}
	}
}

// Answer implements [rpc.Source].
func (k *httpCall) Answer(m *rpc.Message) error {
	if !k.x.close(m) {
		return rpc.ErrNoQuestion
	}
	return k.carrier.respond(k.parent, m) // the response may end the call before this was taken
}

// Close implements [rpc.Source]. A call that has no response yet is cancelled: by
// closing its connection (MCP 2026-07-28) or by a notification (legacy).
func (k *httpCall) Close() error {
	k.cancel(errCallClosed) // wakes Next, which then lets go of the lock
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over == nil && !k.x.finished && !k.x.own {
		k.carrier.release(k, "the client went away")
	}
	k.x.try.Leave()
	k.finish(errCallClosed)
	k.recycle()
	k.refuse()
	return nil
}

// refuse answers what the server asked and nobody will answer any more: who asked must not wait.
func (k *httpCall) refuse() {
	for _, id := range k.x.unanswered() {
		s := k.d.s
		s.life.run(func() { _ = k.carrier.respond(s.life, refusal(id)) }) // who closed the call does not wait
	}
}

// finish ends the call without a message that is still in use.
func (k *httpCall) finish(why error) {
	k.settle(why)
	k.recycle()
}

// settle ends the exchange. The last message stays valid.
func (k *httpCall) settle(why error) {
	if k.over != nil {
		return
	}
	k.over = why
	k.x.try.End(why)
	if k.watch != nil {
		k.watch.Stop()
	}
	k.carrier.release(k, "")
	k.box.close(k.d.pool)
	if k.resp != nil {
		_ = k.resp.Close()
	}
	k.cancel(nil)
}

// recycle gives back what the last message lay in.
func (k *httpCall) recycle() {
	k.d.pool.put(k.buffer)
	k.buffer = nil
	if k.events != nil && k.over != nil {
		k.events.Reset(nil)
		k.d.readers.Put(k.events)
		k.events = nil
	}
}
