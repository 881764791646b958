package model

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// linger is how long the connection of a call that nobody wants any more is still read, so that what has arrived is counted.
const linger = 5 * time.Millisecond

// errClosed is why a call ends whose reply was closed.
var errClosed = errors.New("the call was closed")

// peer is what backends of all kinds have.
type peer struct {
	cfg   config.ModelBackend
	deps  BackendDeps
	fault fault
	hop   rpc.Hop
}

// parts is an answer that comes in parts. One goroutine at a time uses it.
type parts interface {
	// next returns the params of the next chunk. It has told the tally before of what is in it, and of what the backend says of
	// usage. At the end of the answer the error is io.EOF itself.
	next(t *tally) (chunk []byte, err error)
	// finish writes what the response has beside the usage.
	finish(w *writer)
	// close lets go of the connection. Unless the answer was read to its end, the backend learns of it.
	close(whole bool)
}

// pusher is an answer whose parts can be had as they come.
type pusher interface {
	parts
	// push waits for parts and gives them to the run, like next, until it wants no more or something comes that is left to next. It reports
	// whether it is of use to call it again.
	push(to *run) (again bool)
}

// run is an attempt that runs. It is the source of the reply where the answer is streamed.
type run struct {
	// What each part of the answer needs lies together.
	mu      sync.Mutex // held while the answer is read
	over    error      // what Next returns from now on
	parts   parts
	relayed int64     // bytes of chunks
	to      rpc.Taker // of what is pushed; nil while nothing is
	p       *peer
	tally   tally
	try     *rpc.Try
	chunk   rpc.Notice

	pulled []byte // the chunk that Next has returned: it is in use while the rest is wound up
	id     rpc.ID
	name   string          // of the call in logs, here and there; empty for none
	parent context.Context // of the call
	ctx    context.Context // of the exchange: it outlasts the call's for as long as it takes to count what has arrived
	cancel context.CancelCauseFunc
	stop   func() bool // ends the watch over parent
}

var _ rpc.Source = (*run)(nil)

// begin notes that an attempt is made, and watches over the call's context.
func (p *peer) begin(ctx context.Context, c *rpc.Call, v *invocation) *run {
	r := &run{p: p, id: c.Message.ID, parent: ctx, try: c.Record.Try(p.hop)}
	if c.Record != nil {
		r.name = c.Record.ID
	}
	r.ctx, r.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	r.stop = context.AfterFunc(ctx, func() { r.cancel(context.Cause(ctx)) })
	r.tally.begin(r.try, p.estimate(v), v.limit, v.answers)
	return r
}

// estimate guesses how many tokens the prompt has.
func (p *peer) estimate(v *invocation) int64 {
	least := infer.EstimateTokens(v.size())
	if p.deps.Tokens == nil {
		return least
	}
	return max(least, p.deps.Tokens(v.shown, v.bytes))
}

// respond ends an attempt whose answer came as a whole.
func (r *run) respond(result []byte) *rpc.Reply {
	m := rpc.NewResult(r.id, result)
	r.tally.note()
	r.try.Saw(m)
	r.leave()
	return rpc.Respond(m)
}

// stream returns the reply of an attempt whose answer comes in parts.
func (r *run) stream(p parts) *rpc.Reply {
	r.parts = p
	r.stop()
	r.stop = context.AfterFunc(r.parent, func() { r.wind(context.Cause(r.parent)) })
	return rpc.NewReply(r)
}

// fail ends an attempt that has no reply, and returns why. Where the answer may have been under way, all of it counts.
func (r *run) fail(err error) error {
	err = r.blame(err)
	if refused(err) {
		r.tally.nothing()
	} else {
		r.tally.lose()
	}
	r.try.End(err)
	r.leave()
	return err
}

// leave lets go of what an attempt holds.
func (r *run) leave() {
	r.stop()
	r.cancel(nil)
}

// blame says whose fault an error is: of whoever has ended the call, or of the backend.
func (r *run) blame(err error) error {
	if r.parent.Err() != nil {
		return context.Cause(r.parent)
	}
	if e, ok := errors.AsType[*rpc.Error](err); ok {
		return e
	}
	return r.p.fault.exchange(err)
}

// refused reports whether the backend has certainly computed nothing for a call.
func refused(err error) bool {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return false
	}
	answer, ok := errors.AsType[*statusError](e.Cause)
	return e.NotRun || ok && (answer.status < 500 || answer.status == http.StatusServiceUnavailable)
}

// Next implements [rpc.Source].
func (r *run) Next() (*rpc.Message, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over != nil {
		return nil, r.over
	}
	chunk, err := r.parts.next(&r.tally)
	if err == nil && r.relayed > r.p.deps.MaxResult-int64(len(chunk)) {
		err = r.p.fault.failed(nil, "gave an answer that exceeds the size limit")
	}
	switch {
	case rpc.IsEnd(err):
		return r.last(), nil
	case err != nil:
		if err = r.blame(err); r.relayed == 0 && refused(err) {
			r.tally.nothing()
		} else {
			r.tally.abandon()
		}
		r.end(err)
		return nil, err
	}
	r.tally.part()
	r.pulled = append(r.pulled[:0], chunk...)
	m := r.chunk.Make(infer.Chunk, r.pulled)
	if r.relayed == 0 {
		r.try.Saw(m)
	}
	r.relayed += int64(len(chunk))
	return m, nil
}

// Push implements [rpc.Pusher].
func (r *run) Push(to rpc.Taker) (again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.parts.(pusher)
	if !ok || r.over != nil || !r.roomy() {
		return false
	}
	r.to = to
	again = p.push(r)
	r.to = nil
	return again
}

// pass passes a chunk on that is pushed, and reports whether more are wanted.
func (r *run) pass(chunk []byte) bool {
	r.tally.part()
	r.relayed += int64(len(chunk))
	return r.to.Take(r.chunk.Make(infer.Chunk, chunk)) && r.roomy()
}

// roomy reports whether the next chunk cannot make the answer too long. Chunks that can are left to Next.
func (r *run) roomy() bool { return r.relayed <= r.p.deps.MaxResult-maxEvent }

// last ends the attempt with the response.
func (r *run) last() *rpc.Message {
	r.tally.note()
	w := writer{text: []byte{'{'}}
	w.add("usage", r.tally.text())
	r.parts.finish(&w)
	m := rpc.NewResult(r.id, append(w.text, '}'))
	r.try.Saw(m)
	r.end(io.EOF)
	return m
}

// end ends the attempt, for the first time.
func (r *run) end(why error) {
	r.over = why
	r.try.End(why)
	r.parts.close(rpc.IsEnd(why))
	r.leave()
}

// Answer implements [rpc.Source]: models ask nothing.
func (*run) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }

// Close implements [rpc.Source].
func (r *run) Close() error {
	r.wind(errClosed)
	return nil
}

// wind ends an attempt that nobody wants any more, when what has arrived by now is counted.
func (r *run) wind(why error) {
	last := time.AfterFunc(linger, func() { r.cancel(why) }) // which also ends a Next that waits
	defer last.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over != nil {
		return
	}
	_, err := r.parts.next(&r.tally)
	for err == nil {
		_, err = r.parts.next(&r.tally)
	}
	if rpc.IsEnd(err) {
		r.tally.note()
	} else {
		r.tally.abandon()
	}
	if errors.Is(why, errClosed) {
		r.try.Leave()
	}
	r.end(why)
}
