package mcpserver

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/upstream"
)

// respondTimeout bounds sending what nobody waits for: cancellations, answers to
// pings, the end of a session.
const respondTimeout = 5 * time.Second

// overtakes is the age of a call up to which its server may not have read it.
const overtakes = time.Second

// cancelAgain is when the cancellation of a young call is repeated, each time after the last.
var cancelAgain = [...]time.Duration{20 * time.Millisecond, 200 * time.Millisecond}

// legacyHTTP is a session of Streamable HTTP (MCP 2025-03-26 to 2025-11-25). Servers
// without sessions are sessions without an id.
type legacyHTTP struct {
	d       *httpDialer
	turns   bool   // calls of several clients take turns
	session string // the Mcp-Session-Id; set by the answer to initialize
	about   *Description
	spoken  atomic.Pointer[hop]
	post    atomic.Pointer[upstream.Endpoint]
	get     atomic.Pointer[upstream.Endpoint] // of streams; nil before the handshake is complete
	ids     atomic.Uint64

	ended    context.Context // of the event stream and of what is sent aside
	end      context.CancelCauseFunc
	asides   sync.WaitGroup // cancellations that are on their way
	streamed atomic.Bool    // false once the server has refused the event stream
	hearing  chan struct{}  // closed when the event stream has begun or was refused
	once     sync.Once      // for that

	mu      sync.Mutex
	calls   map[uint64]*httpCall
	orphans []*rpc.Message // questions that came while no call was in flight
	served  bool           // a client's call was sent
	over    bool           // the session is lost or closed
}

var (
	_ link    = (*legacyHTTP)(nil)
	_ carrier = (*legacyHTTP)(nil)
)

func newLegacyHTTP(d *httpDialer, h hello) (*legacyHTTP, error) {
	post, err := d.endpoint(upstream.Field{Name: "Content-Type", Value: typeJSON})
	if err != nil {
		return nil, err
	}
	l := &legacyHTTP{d: d, turns: h.turns, calls: map[uint64]*httpCall{}, hearing: make(chan struct{})}
	l.ended, l.end = context.WithCancelCause(d.s.life)
	l.post.Store(post)
	l.spoken.Store(newHop(rpc.Legacy, "", h.info, h.caps))
	return l, nil
}

// begin completes the handshake: from now on requests carry the revision and the
// session.
func (l *legacyHTTP) begin(ctx context.Context, about *Description) error {
	h := l.hop()
	l.about = about
	l.spoken.Store(newHop(rpc.Legacy, about.Revision, h.identity, h.caps))
	fixed := []upstream.Field{{Name: mcp.HeaderVersion, Value: string(about.Revision)}}
	if l.session != "" {
		fixed = append(fixed, upstream.Field{Name: mcp.HeaderSession, Value: l.session})
	}
	bare, err := l.d.endpoint(fixed...)
	if err != nil {
		return err
	}
	post, err := l.d.endpoint(append(fixed, upstream.Field{Name: "Content-Type", Value: typeJSON})...)
	if err != nil {
		return err
	}
	l.post.Store(post)
	l.get.Store(bare)
	if err := tell(ctx, l, rpc.NewNotification(mcp.Initialized, nil)); err != nil {
		return err
	}
	l.streamed.Store(true)
	l.d.s.life.run(l.listen)
	return nil
}

func (l *legacyHTTP) hop() *hop                 { return l.spoken.Load() }
func (l *legacyHTTP) description() *Description { return l.about }

func (l *legacyHTTP) alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.over
}

func (l *legacyHTTP) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls) > 0
}

// send implements [link].
func (l *legacyHTTP) send(ctx context.Context, x *exchange) (rpc.Source, error) {
	if !x.message.IsNotification() {
		x.number(l.ids.Add(1))
	}
	k := newHTTPCall(ctx, l.d, l, x)
	if !x.message.IsNotification() {
		l.register(k)
	}
	if k.questions != nil {
		return l.attend(k, l.post.Load())
	}
	if err := k.post(l.post.Load(), nil); err != nil {
		return nil, err
	}
	if x.own && x.call.Message.Method == mcp.Initialize && k.resp != nil {
		l.session = k.resp.Header.Get(mcp.HeaderSession)
	}
	return k, nil
}

// register makes a call known to the session's stream. On a session of a client that
// can be asked, questions may come there.
func (l *legacyHTTP) register(k *httpCall) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[k.x.id] = k
	if !k.x.mayBeAsked() {
		return
	}
	l.served = true
	if l.hop().caps == nil || !l.streamed.Load() {
		return
	}
	k.questions = make(chan *rpc.Message, maxOrphans)
	for _, q := range l.orphans {
		k.offer(q)
	}
	l.orphans = nil
}

// elsewhere implements [carrier]: some servers answer on the session's event stream.
func (l *legacyHTTP) elsewhere() bool { return l.streamed.Load() }

// resumable implements [carrier].
func (l *legacyHTTP) resumable() *upstream.Endpoint { return l.get.Load() }

// release implements [carrier]. A server is told by a notification, since it must not
// take a closed connection for a cancellation (MCP 2025-11-25, Streamable HTTP).
func (l *legacyHTTP) release(k *httpCall, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, inFlight := l.calls[k.x.id]
	delete(l.calls, k.x.id)
	if !inFlight || reason == "" || l.over {
		return
	}
	young := time.Since(k.x.call.Received) < overtakes
	l.asides.Add(1)
	begun := l.d.s.life.run(func() { // who gave up does not wait
		defer l.asides.Done()
		l.cancel(k.x.id, reason, young)
	})
	if !begun {
		l.asides.Done()
	}
}

// cancel tells the server that nobody waits for a call. The notification has a connection of its own and can overtake a
// young call, which it then does not stop: servers ignore what names no request (MCP 2025-11-25, Cancellation). So it is said again.
func (l *legacyHTTP) cancel(id uint64, reason string, young bool) {
	l.answer(mcp.NewCancelled(rpc.NumberID(id), reason))
	for _, pause := range cancelAgain {
		if !young || !sleep(l.ended, pause) {
			return
		}
		l.answer(mcp.NewCancelled(rpc.NumberID(id), reason))
	}
}

// answer sends a message that no call is behind.
func (l *legacyHTTP) answer(m *rpc.Message) {
	if err := l.respond(l.ended, m); err != nil {
		l.d.s.log.DebugContext(l.ended, "message was not taken", "method", m.Method, "error", err.Error())
	}
}

// respond implements [carrier].
func (l *legacyHTTP) respond(ctx context.Context, m *rpc.Message) error {
	ctx, cancel := context.WithTimeout(ctx, respondTimeout)
	defer cancel()
	b := l.d.pool.get()
	defer l.d.pool.put(b)
	b.bytes = m.AppendTo(b.bytes)
	resp, err := l.d.client.Do(ctx, &upstream.Request{Method: http.MethodPost, Endpoint: l.post.Load(), Body: b.bytes})
	if err != nil {
		return l.d.s.fault.exchangeFault(err, "cannot be reached")
	}
	defer func() { _ = resp.Close() }()
	if resp.Status < 200 || resp.Status >= 300 {
		return l.d.s.fault.refused(resp, nil)
	}
	return nil
}

// said waits until the server was told of the calls that were cancelled: some go on with them when their session has
// ended.
func (l *legacyHTTP) said(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, respondTimeout)
	defer cancel()
	_ = await(ctx, &l.asides)
}

// find returns a call in flight, or nil.
func (l *legacyHTTP) find(id uint64) *httpCall {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[id]
}

// close implements [link]: it ends the event stream and the session. Calls in flight
// end with it, but in a session that the server has ended they are left to hear so themselves, because
// then they can be made again.
func (l *legacyHTTP) close(ctx context.Context) {
	l.mu.Lock()
	lost := l.over
	l.over = true
	for _, k := range l.calls {
		k.box.fail(l.d.s.fault.down(nil, "ended its session"))
		if !lost {
			k.cancel(l.d.s.fault.down(errClosed, "was shut down"))
		}
	}
	l.mu.Unlock()
	l.said(ctx)
	l.end(errClosed)
	if lost || l.session == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, respondTimeout)
	defer cancel()
	at, err := l.get.Load(), error(nil)
	if at == nil { // the handshake was never completed
		at, err = l.d.endpoint(upstream.Field{Name: mcp.HeaderSession, Value: l.session})
	}
	if err != nil {
		return
	}
	if resp, err := l.d.client.Do(ctx, &upstream.Request{Method: http.MethodDelete, Endpoint: at}); err == nil {
		_ = resp.Close() // servers may refuse, and the session then ends by itself
	}
}
