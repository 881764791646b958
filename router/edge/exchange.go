package edge

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
)

// phase is what an exchange is waiting for.
type phase uint8

const (
	arriving  phase = iota // the request
	waiting                // the first message of the answer
	streaming              // further messages; the answer is an event stream
	over                   // nothing: it is answered, or nobody is there to read
)

// exchange is one HTTP request and its answer.
type exchange struct {
	// What each message needs lies together.
	mu     sync.Mutex // guards what follows before the turn, and all use of w from waiting on
	phase  phase
	named  bool           // the client has an id from which to resume
	quiet  bool           // the answer must not become a stream by itself
	naming bool           // events that are messages say so
	lines  bool           // the stream is one of lines, not of events
	owes   bool           // what was offered was not all taken
	ending bool           // what is written is sent when the handler returns
	now    immediate      // w, if it can write at once; else nil
	track  *session.Track // what was sent, where the client can resume; nil elsewhere
	lostAt time.Time      // when the client was found to be gone

	events  scratch
	header  http.Header // the reply's, nil before there is one
	checked int64       // received, when it was last looked at

	turn

	w  http.ResponseWriter
	r  *http.Request
	rc *http.ResponseController

	endpoint string // the path it stands for
	name     string // of the gateway's own for the request; empty where requests have none
	accepts  accepts
	id       rpc.ID     // of the client's request, once it has been read
	era      rpc.Era    // of the client, once it is known
	body     []byte     // pooled
	asked    bool       // the policies know of the request
	claimed  rpc.Client // of the session it names, whoever sent it

	// A legacy call outlives its client, so it has a cancel of its own, and a session
	// that keeps what it says.
	cancel  context.CancelCauseFunc
	session *session.Session

	received atomic.Int64 // bytes of the body so far
	whole    atomic.Bool  // the body has been read to its end
	timer    *time.Timer

	halt   context.CancelCauseFunc // of a call whose context is nobody else's to end; nil elsewhere
	stop   context.CancelCauseFunc // of a stream that ends with the client's credential; nil elsewhere
	expiry *time.Timer             // when that is known beforehand
}

// immediate is a writer that writes a part of an answer at once, as [http1.Server]'s does.
type immediate interface {
	WriteNow(p []byte, within time.Duration) error
	// Offers reports whether Offer may be called, which writes what the client takes without being waited for, and says whether Settle has
	// to write more. What is before the part is room that Offer uses.
	Offers() bool
	Offer(b []byte, at int) (owes bool, err error)
	Settle(within time.Duration) error
}

func newExchange(e *Edge, w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{w: w, r: r, rc: http.NewResponseController(w), accepts: parseAccept(r.Header["Accept"])}
	x.now, _ = w.(immediate)
	x.turn = turn{Edge: e, speech: &mcpDialect, ctx: r.Context(), out: x}
	x.timer = time.AfterFunc(never, x.tick)
	return x
}

// newCall makes the call of an exchange.
func (x *exchange) newCall(client rpc.Client, row *rpc.Method, m *rpc.Message) *rpc.Call {
	x.asked, x.call = true, x.callOf(client, row, m)
	return x.call
}

// callOf makes one of the calls of an exchange.
func (x *exchange) callOf(client rpc.Client, row *rpc.Method, m *rpc.Message) *rpc.Call {
	remote, _ := netip.ParseAddrPort(x.r.RemoteAddr) // stays zero for transports without addresses
	return &rpc.Call{
		Message: m, Method: row, Dialect: x.speech.name, Received: time.Now(),
		Endpoint: x.endpoint, Host: x.r.Host, Header: x.r.Header, Remote: remote, TLS: x.r.TLS,
		Client: client, Record: &rpc.Record{ID: x.name}, Stopper: x,
	}
}

// end releases what the exchange holds. After it nothing touches the response.
func (x *exchange) end() {
	x.mu.Lock()
	x.phase = over
	x.mu.Unlock()
	x.timer.Stop()
	if x.halt != nil {
		x.halt(nil)
	}
	if x.expiry != nil {
		x.expiry.Stop()
	}
	if x.stop != nil {
		x.stop(nil)
	}
	if x.track != nil {
		x.track.End()
	}
	x.land()
	if x.r.ProtoMajor > 1 {
		x.liftDeadlines()
	}
	if x.cancel != nil {
		x.cancel(nil)
	}
	x.buffers.put(x.body)
	x.events.release(&x.buffers)
}

// liftDeadlines gives back the timers of an HTTP/2 stream. net/http does so when the
// stream closes, but those that were set later, on one that the client has reset, it
// would keep until they fire, and all of the stream with them.
func (x *exchange) liftDeadlines() {
	_ = x.rc.SetReadDeadline(time.Time{})  // net/http's streams have deadlines
	_ = x.rc.SetWriteDeadline(time.Time{}) // likewise
}
