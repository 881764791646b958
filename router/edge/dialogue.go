package edge

import (
	"context"
	"crypto/rand"
	"net/netip"
	"sync"
	"time"

	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
)

// dialogue is a connection over which a client sends and gets messages one by one: a
// WebSocket, HTTP+SSE, or a pair of pipes. Both eras may share it. A legacy session
// lives as long as its connection, so that here a disconnect is a cancel.
type dialogue struct {
	*Edge
	speech   *dialect
	id       string // random: who knows it may speak
	shown    string // random too, for operators, who need not know the other
	via      string // the transport
	endpoint string
	owner    rpc.Principal
	remote   netip.AddrPort
	since    time.Time
	say      func(utterance) bool // writes a message; false if the client is gone

	ctx     context.Context // ends with the connection
	cancel  context.CancelCauseFunc
	expiry  *time.Timer // ends it with the client's credential; nil if that has no end
	order   sync.Mutex  // messages are taken one after the other, and none once ctx has ended
	running sync.WaitGroup

	mu      sync.Mutex
	session *session.Session
	lasting bool                               // the session does not end with the connection
	calls   map[string]context.CancelCauseFunc // modern requests in flight, by the key of their id
	active  int                                // requests in flight, of both eras
	retired bool                               // to end as soon as none is
}

var _ outlet = (*dialogue)(nil)

// utterance is what is written at once: a [rpc.Message], or an array of them.
type utterance interface {
	AppendTo(dst []byte) []byte
	Size() int
}

// connect asks the policies whether a client may connect, and opens a dialogue, which
// the caller must end.
func (e *Edge) connect(ctx context.Context, via string, hello *rpc.Call, say func(utterance) bool) (*dialogue, error) {
	hello.Method, hello.Message = connectRow, e.connecting
	d := &dialogue{Edge: e, speech: dialectOf(hello.Dialect), id: rand.Text(), via: via, endpoint: hello.Endpoint, say: say, calls: map[string]context.CancelCauseFunc{}}
	d.ctx, d.cancel = context.WithCancelCause(ctx)
	hello.Stopper = rpc.StopFunc(d.cancel)
	if err := d.turn(hello).attempt(d.ctx); err != nil {
		d.cancel(err)
		return nil, err
	}
	d.owner, d.remote, d.since, d.shown = hello.Principal, hello.Remote, hello.Received, rand.Text()
	d.until(hello.Principal.Expires)
	if err := e.dialogues.add(d, e.cfg().Connections); err != nil {
		d.stopExpiry()
		d.cancel(err)
		return nil, err
	}
	return d, nil
}

// turn makes a turn of a call.
func (d *dialogue) turn(c *rpc.Call) *turn {
	return &turn{Edge: d.Edge, speech: d.speech, ctx: d.ctx, call: c, out: d}
}

// end cancels what is in flight, waits for it, and ends the session.
func (d *dialogue) end(last *rpc.Call) {
	d.stopExpiry()
	d.cancel(errLeft())
	d.order.Lock() // what is being taken has been counted
	defer d.order.Unlock()
	if s := d.current(); s != nil && !d.lasting {
		goodbye := *last
		goodbye.Client, goodbye.Method, goodbye.Message, goodbye.Record = s.Client(), endRow, d.leaving, &rpc.Record{}
		if err := d.turn(&goodbye).attempt(context.WithoutCancel(d.ctx)); err != nil {
			d.Log.Debug("session of a connection was not ended", "transport", d.via, "error", err)
		}
	}
	d.running.Wait()
	d.dialogues.remove(d)
}

// errLeft is why the calls of a client end that closed its connection.
func errLeft() error { return rpc.Errorf(rpc.Cancelled, "the client closed the connection") }

// current returns the legacy session of the connection, nil if it has none.
func (d *dialogue) current() *session.Session {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.session
}

// retire ends the dialogue as soon as nothing is in flight, and refuses new requests.
func (d *dialogue) retire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.retired = true
	d.endIfDone()
}

func (d *dialogue) endIfDone() {
	if d.retired && d.active == 0 {
		d.cancel(rpc.Errorf(rpc.Draining, "the gateway ends the connection"))
	}
}

// start registers a request.
func (d *dialogue) start() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.retired:
		return errShutdown()
	case d.active >= d.cfg().InFlight:
		return rpc.Errorf(rpc.Busy, "%d calls of this connection are in flight already", d.cfg().InFlight)
	}
	d.active++
	return nil
}

func (d *dialogue) finished() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.active--
	d.endIfDone()
}

// hold keeps the dialogue from retiring; finished lets it.
func (d *dialogue) hold() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.active++
}

// send implements outlet.
func (d *dialogue) send(m *rpc.Message) bool { return d.speak(m) }

// speak writes a message, or several as one.
func (d *dialogue) speak(u utterance) bool {
	if d.ctx.Err() == nil && d.say(u) {
		return true
	}
	d.cancel(errLeft())
	return false
}

// finish implements outlet.
func (d *dialogue) finish(m *rpc.Message, _ int) { d.send(m) }

// listen passes on what belongs to no call, until the session ends.
func (d *dialogue) listen(c *rpc.Call) {
	t := d.turn(c)
	reply, err := t.handle(d.ctx, c)
	if err != nil {
		d.retire()
		return
	}
	defer t.close(reply)
	for m, err := t.next(reply); err == nil && d.send(m); m, err = t.next(reply) {
	}
	d.retire()
}

// every does something again and again until the connection ends.
func (d *dialogue) every(interval time.Duration, do func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}

// same reports whether a principal is the one who connected.
func (d *dialogue) same(p rpc.Principal) bool {
	o := d.owner
	return o.Org == p.Org && o.Team == p.Team && o.Key == p.Key && o.User == p.User
}
