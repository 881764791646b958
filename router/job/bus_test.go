package job_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state"
)

// deaf is a bus that loses what is sent, and says so when it is told to.
type deaf struct {
	state.Bus
	gap chan struct{}
}

func (*deaf) Publish(context.Context, string, []byte) error { return nil }

func (d *deaf) Subscribe(ctx context.Context, topics ...string) (state.Listener, error) {
	l, err := d.Bus.Subscribe(ctx, topics...)
	return &deafListener{l, d.gap, make(chan struct{})}, err
}

type deafListener struct {
	state.Listener
	gap    chan struct{}
	closed chan struct{}
}

func (l *deafListener) Next(ctx context.Context) (state.Event, error) {
	select {
	case <-l.gap:
		return state.Event{Gap: true}, nil
	case <-l.closed:
		return state.Event{}, state.ErrClosed
	case <-ctx.Done():
		return state.Event{}, context.Cause(ctx)
	}
}

func (l *deafListener) Close() {
	l.Listener.Close()
	close(l.closed)
}

// A cancellation that nobody was told of is found out: at once by who knows that something was missed, and by the next heartbeat
// otherwise. Who waits for the end sees it when the time is over.
func TestWhatTheBusLosesIsFoundOut(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, nil, func(t *testing.T, p *plant) {
		h := newHangs()
		d := &deaf{p.deps.Bus, make(chan struct{})}
		p.run, p.deps.Bus = h.handle, d
		p.Jobs = p.fresh()
		p.start()
		for name, tt := range map[string]struct {
			gap  bool
			most time.Duration
		}{"with a gap": {true, 0}, "without": {false, p.cfg.Visibility / 3}} {
			id := p.submit("")
			<-h.begun
			waits := make(chan map[string]any)
			go func() { waits <- p.status(id, 7) }()
			synctest.Wait()
			began := time.Now()
			if stands, err := p.CancelAny(t.Context(), id); stands != state.JobCancelled || err != nil {
				t.Fatalf("%s: %v, %v", name, stands, err)
			}
			if tt.gap {
				d.gap <- struct{}{} // one of the two listeners gets it
				d.gap <- struct{}{}
			}
			if e := <-h.ended; rpc.AsError(e).Code != rpc.Cancelled || time.Since(began) > tt.most {
				t.Errorf("%s: %v after %v", name, e, time.Since(began))
			}
			if out := <-waits; out["state"] != "cancelled" || time.Since(began) > max(7*time.Second, tt.most) {
				t.Errorf("%s: who waits is told %v after %v", name, out, time.Since(began))
			}
		}
	})
}

// A question that is cancelled ends as cancelled, and not with how the job stands.
func TestAQuestionThatWaitsIsCancelled(t *testing.T) {
	t.Parallel()
	inPlant(t, usual, nil, func(t *testing.T, p *plant) {
		m, err := rpc.Parse([]byte(`{"jsonrpc":"2.0","id":7,"method":"status","params":{"job_id":"`+p.submit("")+`","wait":30}}`), rpc.Limits{Dialect: rpc.Infer})
		if err != nil {
			t.Fatal(err)
		}
		row, _ := infer.Lookup(infer.Status)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(rpc.Errorf(rpc.Cancelled, "the client cancelled the request")) })
		reply, err := p.Handle(ctx, &rpc.Call{Message: m, Method: row, Dialect: rpc.Infer, Endpoint: infer.Path, Principal: ann})
		if rpc.CodeOf(err) != rpc.Cancelled {
			t.Errorf("%v, %v", reply, err)
		}
	})
}
