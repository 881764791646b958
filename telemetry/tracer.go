package telemetry

import (
	"encoding/binary"
	"math"
	"strings"
	"sync/atomic"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/headgate/headgate/rpc"
)

// TracerConfig says which calls are traced.
type TracerConfig struct {
	Sample       float64 // the share of calls, from 0 to 1
	TrustClients bool    // what a client has decided about its trace holds for us
	// Status is the JSON-RPC code by which a client is told of a failure of the gateway's.
	Status func(rpc.Dialect, *rpc.Error) int64
	// Export takes a span. It must not block.
	Export func(*tracepb.Span)
}

// Tracer makes spans of calls: one for what the client asked, and one for each time that an upstream was asked for it. Calls that
// are not sampled get ids to pass on, and spans only if they fail by a fault of ours or an upstream's. All spans are made when the
// call has ended, out of its record. A tracer may be used by many goroutines at once.
type Tracer struct {
	cfg    TracerConfig
	below  uint64 // trace ids are sampled whose number is below it
	second atomic.Int64
	failed atomic.Int64 // failures that were exported in that second
}

var _ rpc.Observer = (*Tracer)(nil)

// maxFailures bounds the calls that are exported in a second because they failed: an upstream that is down must not
// keep the gateway busy with saying so.
const maxFailures = 100

// NewTracer returns a tracer.
func NewTracer(cfg TracerConfig) *Tracer {
	t := &Tracer{cfg: cfg, below: math.MaxUint64}
	if cfg.Sample < 1 {
		t.below = uint64(cfg.Sample * (1 << 63))
	}
	return t
}

// Begin implements [rpc.Observer]: it decides where in which trace the call is. One that is made in the middle of
// another one is where that is.
func (t *Tracer) Begin(c *rpc.Call) {
	if !traced(c) || c.Record.Trace.Inner {
		return
	}
	parent, link := contextOf(c)
	trace := rpc.Trace{ID: parent.id, Span: rpc.NewSpanID(), Parent: parent.span, State: parent.state}
	if trace.ID == (rpc.TraceID{}) {
		trace.ID = rpc.NewTraceID()
	}
	if parent.id != (rpc.TraceID{}) && t.cfg.TrustClients {
		trace.Sampled = parent.sampled
	} else {
		trace.Sampled = t.samples(trace.ID)
	}
	c.Record.Trace = trace
	c.Record.Link(link)
}

// traced reports whether a call is worth a span: what a client sent as a message, and wants something by.
func traced(c *rpc.Call) bool {
	return c.Message.IsRequest() || strings.HasPrefix(c.Message.Method, notifications)
}

// samples decides by the id, so that all who use the same share decide alike.
func (t *Tracer) samples(id rpc.TraceID) bool { return binary.BigEndian.Uint64(id[8:])>>1 < t.below }

// End implements [rpc.Observer]: it exports the call's spans.
func (t *Tracer) End(c *rpc.Call) {
	r := c.Record
	if r.Trace.ID == (rpc.TraceID{}) || !r.Trace.Sampled && !(fails(r) && t.allows(time.Now())) {
		t.follow(c)
		return
	}
	b := newBuilder(t, c)
	t.cfg.Export(b.server(c))
	for try := r.First(); try != nil; try = try.Next() {
		if !try.OnEnd(b.finish) {
			b.finish(try.Attempt())
		}
	}
	for _, aside := range r.Asides() {
		aside.OnAttempts(b.finish)
	}
}

// follow waits for attempts that go on when their call has ended, in case they fail.
func (t *Tracer) follow(c *rpc.Call) {
	if c.Record.Trace.ID == (rpc.TraceID{}) {
		return
	}
	for try := c.Record.First(); try != nil; try = try.Next() {
		if try.Attempt().Ended != 0 {
			continue
		}
		b := newBuilder(t, c)
		try.OnEnd(func(a rpc.Attempt) {
			if blames(a.Outcome) && t.allows(time.Now()) {
				b.finish(a)
			}
		})
	}
}

// fails reports whether a call failed by a fault that is not its client's, or one of its attempts did.
func fails(r *rpc.Record) bool {
	if blames(r.Outcome()) {
		return true
	}
	for try := r.First(); try != nil; try = try.Next() {
		if blames(try.Attempt().Outcome) {
			return true
		}
	}
	return false
}

// blames reports whether an outcome is a fault of the gateway's or an upstream's. What clients do wrong, and what limits refuse them, is
// not: they could fill the traces with it.
func blames(o rpc.Outcome) bool {
	switch {
	case o.Err != nil:
		switch rpc.CodeOf(o.Err) {
		case rpc.Internal, rpc.Busy, rpc.Overloaded, rpc.AuthDown, rpc.StateUnavailable, rpc.UpstreamDown, rpc.UpstreamFailed, rpc.UpstreamTimeout:
			return true
		}
		return false
	case o.Failure != nil:
		return serverFault(o.Failure.Code)
	}
	return o.ToolError
}

// allows reports whether one more failure may be exported now.
func (t *Tracer) allows(now time.Time) bool {
	if second := now.Unix(); t.second.Swap(second) != second {
		t.failed.Store(0)
	}
	return t.failed.Add(1) <= maxFailures
}
