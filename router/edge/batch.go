package edge

import (
	"context"
	"net/http"
	"sync"

	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// batch serves an array of messages. To sessions that have none it is the refusal.
func (x *exchange) batch(body []byte, refusal error) error {
	s, err := x.resume()
	if err != nil {
		return err
	}
	items, err := elements(s, body, refusal)
	if err != nil {
		return err
	}
	x.asked = true
	if err := x.introduce(); err != nil {
		return err // of the whole, while there is a status to say it with
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(x.r.Context()))
	x.cancel, x.session = cancel, s
	x.await(true)
	b := &batch{x: x, session: s}
	for _, item := range items {
		b.take(ctx, item)
	}
	b.running.Wait()
	b.end()
	return nil
}

// batch is the outlet of all messages of an array that was POSTed. Their responses wait for each other
// and go out as one array, unless something made the answer a stream before.
type batch struct {
	x       *exchange
	session *session.Session
	running sync.WaitGroup
	held    array // responses, guarded by the exchange
}

// take serves one message: requests beside each other, the others at once and in
// their order.
func (b *batch) take(ctx context.Context, text []byte) {
	m, err := b.x.element(text)
	if err == nil {
		err = b.dispatch(ctx, m)
	}
	if err != nil && !m.IsNotification() {
		b.finish(rpc.NewError(m.ID, mcp.Failure(failure(err))), http.StatusOK)
	}
}

func (b *batch) dispatch(ctx context.Context, m *rpc.Message) (err error) {
	row := answerRow
	if !m.IsResponse() {
		if row, err = method(m, b.session.Client().Revision); err != nil {
			return err
		}
	}
	t := &turn{Edge: b.x.Edge, speech: b.x.speech, ctx: b.x.ctx, out: b, call: b.x.callOf(b.session.Client(), row, m)}
	if !m.IsRequest() {
		t.serve(ctx)
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	flight, err := b.session.Begin(m.ID, cancel)
	if err != nil {
		cancel(nil)
		return err
	}
	t.flight, t.call.Stopper = flight, rpc.StopFunc(cancel)
	b.x.mayStream()
	b.running.Go(func() {
		defer cancel(nil)
		defer t.land()
		t.serve(ctx)
	})
	return nil
}

func (b *batch) send(m *rpc.Message) bool { return b.x.send(m) }

// finish keeps a response, or writes it where the answer is a stream.
func (b *batch) finish(m *rpc.Message, _ int) {
	x := b.x
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.phase == waiting && x.accepts.streamFirst {
		x.commit()
	}
	if x.phase == streaming {
		x.event(m)
		return
	}
	b.held = append(b.held, m.Clone())
}

// end writes what was kept. Where nothing was asked there is nothing to say.
func (b *batch) end() {
	if b.flush() {
		b.x.acknowledge(http.StatusAccepted)
	}
}

// flush reports whether the answer has yet to be made.
func (b *batch) flush() bool {
	x := b.x
	x.mu.Lock()
	defer x.mu.Unlock()
	x.quiet = true
	switch {
	case x.phase == streaming:
		for _, m := range b.held {
			x.event(m)
		}
	case len(b.held) == 0:
		return true
	case !x.isLost():
		text := b.held.AppendTo(x.buffers.get(b.held.Size()))
		x.document(text, nil, http.StatusOK)
		x.buffers.put(text)
	}
	x.phase = over
	return false
}
