package edge

import (
	"context"
	"net/http"
	"sync"

	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// maxBatch bounds the messages of one batch.
const maxBatch = 50

// batch serves an array of messages, which one revision has (MCP 2025-03-26,
// Streamable HTTP; JSON-RPC 2.0, section 6). To sessions of any other one it is the
// refusal.
func (x *exchange) batch(body []byte, refusal error) error {
	s, err := x.resume()
	if err != nil {
		return err
	}
	if t, ok := mcp.Of(s.Client().Revision); !ok || !t.Batches {
		return refusal
	}
	items, err := rpc.Elements(body)
	switch {
	case err != nil:
		return rpc.Errorf(rpc.ParseError, "batch refused: %w", err)
	case len(items) == 0:
		return rpc.Errorf(rpc.InvalidRequest, "batch refused: it is empty")
	case len(items) > maxBatch:
		return rpc.Errorf(rpc.InvalidRequest, "batch refused: %d messages are more than %d", len(items), maxBatch)
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(x.r.Context()))
	x.cancel = cancel
	x.await(true)
	b := &batch{x: x, session: s}
	for _, item := range items {
		b.take(ctx, item)
	}
	b.running.Wait()
	b.end()
	return nil
}

// batch is the outlet of all messages of an array. Their responses wait for each other
// and go out as one array, unless something made the answer a stream before.
type batch struct {
	x       *exchange
	session *session.Session
	running sync.WaitGroup
	held    []*rpc.Message // responses, guarded by the exchange
}

// take serves one message: requests beside each other, the others at once and in
// their order.
func (b *batch) take(ctx context.Context, text []byte) {
	m, err := rpc.Parse(text, rpc.Limits{Depth: b.x.cfg.Depth})
	if err != nil {
		err = &rpc.Error{Code: rpc.InvalidRequest, Message: failure(err).Message, Cause: err} // JSON, or its batch would be none
	} else {
		err = b.dispatch(ctx, m)
	}
	if err != nil && !m.IsNotification() {
		b.finish(rpc.NewError(m.ID, mcp.Failure(failure(err))), http.StatusOK)
	}
}

func (b *batch) dispatch(ctx context.Context, m *rpc.Message) error {
	row := answerRow
	if !m.IsResponse() {
		if m.Method == mcp.Initialize {
			return rpc.Errorf(rpc.InvalidRequest, "initialize must not be part of a batch")
		}
		var err error
		if row, err = method(m, b.session.Client().Revision); err != nil {
			return err
		}
	}
	t := &turn{Edge: b.x.Edge, ctx: b.x.ctx, out: b, call: b.x.callOf(b.session.Client(), row, m)}
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
	t.flight = flight
	b.mayStream()
	b.running.Go(func() {
		defer cancel(nil)
		defer flight.Finish()
		t.serve(ctx)
	})
	return nil
}

// mayStream says that there is something to wait for.
func (b *batch) mayStream() {
	b.x.mu.Lock()
	defer b.x.mu.Unlock()
	b.x.quiet = false
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
		x.document(array(b.held), nil, http.StatusOK)
	}
	x.phase = over
	return false
}

// array returns the text of messages as one JSON array.
func array(messages []*rpc.Message) []byte {
	out := []byte{'['}
	for i, m := range messages {
		if i > 0 {
			out = append(out, ',')
		}
		out = m.AppendTo(out)
	}
	return append(out, ']')
}
