package telemetry

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"strconv"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/headgate/headgate/rpc"
)

// builder makes the spans of a call. What it keeps of the call is its own, since attempts can outlast it.
type builder struct {
	tracer   *Tracer
	record   *rpc.Record
	trace    rpc.Trace
	received time.Time
	method   string
	subject  string     // what the attribute for it is called; empty where there is none
	own      string     // the upstream's name for it
	infer    *inference // nil for a call of MCP
}

func newBuilder(t *Tracer, c *rpc.Call) *builder {
	b := &builder{tracer: t, record: c.Record, trace: c.Record.Trace, received: c.Received, method: text(c.Method.Name), infer: newInference(c)}
	switch c.Target.Kind {
	case rpc.Tool:
		b.subject = attrTool
	case rpc.Prompt:
		b.subject = attrPrompt
	case rpc.Resource:
		b.subject = attrResource
	case rpc.Model:
		b.subject = attrModel
	default:
		return b
	}
	b.own = text(c.Target.Own)
	return b
}

// text returns text from outside as it may be exported: no secrets, no more than 1 KiB, in memory of its own.
func text(s string) string { return strings.Clone(Clean(s)) }

// at is when something happened.
func (b *builder) at(d time.Duration) uint64 { return uint64(b.received.Add(d).UnixNano()) }

// name of a span. Addresses of resources are too many to be part of it.
func (b *builder) name(subject string) string {
	switch {
	case subject == "" || b.subject == attrResource:
		return b.method
	case b.infer != nil && b.method == invoke:
		return chat + " " + subject
	}
	return b.method + " " + subject
}

// flags are those of the trace (W3C Trace Context, §3.2.2.5), and that a parent is somebody else's process or not (OTLP, Span.flags).
func flags(sampled, remote bool) uint32 {
	out := uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
	if remote {
		out |= uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
	}
	if sampled {
		out |= 1
	}
	return out
}

// server is the span of what the client asked.
func (b *builder) server(c *rpc.Call) *tracepb.Span {
	r := b.record
	_, ended := r.Times()
	outcome, exposed := r.Outcome(), text(c.Target.Exposed)
	s := &tracepb.Span{
		TraceId: b.trace.ID[:], SpanId: b.trace.Span[:], TraceState: b.trace.State,
		Flags: flags(b.trace.Sampled, b.trace.Parent != (rpc.SpanID{}) && !b.trace.Inner),
		Kind:  b.kind(), Name: b.name(exposed), StartTimeUnixNano: b.at(0), EndTimeUnixNano: b.at(ended),
	}
	if b.trace.Parent != (rpc.SpanID{}) {
		s.ParentSpanId = b.trace.Parent[:]
	}
	a := attributesOf(16)
	b.calls(&a)
	b.about(&a, exposed)
	if !b.trace.Inner {
		a.text(attrRequestID, text(c.Message.ID.String()))
	}
	if b.infer != nil {
		b.infer.asked(&a, c)
	} else {
		a.text(attrProtocolVersion, string(c.Client.Revision))
		a.text(attrSession, sessionOf(c))
	}
	if !b.trace.Inner {
		network(&a, c)
	}
	a.text(attrEndpoint, text(c.Endpoint))
	a.text(attrOrg, c.Principal.Org)
	a.text(attrTeam, c.Principal.Team)
	a.text(attrKey, c.Principal.Key)
	a.text(attrUpstream, c.Target.Upstream)
	a.text(attrOutcome, outcome.String())
	b.ending(&a, s, outcome)
	s.Attributes = a.list
	s.Events = b.events()
	for _, l := range r.Links() {
		s.Links = append(s.Links, linkTo(l.ID, l.Span, l.Sampled, true, l.Kind))
	}
	return s
}

// kind of the span of a call: one that is made in the middle of another one comes from nobody else.
func (b *builder) kind() tracepb.Span_SpanKind {
	if b.trace.Inner {
		return tracepb.Span_SPAN_KIND_INTERNAL
	}
	return tracepb.Span_SPAN_KIND_SERVER
}

// calls names the method, by its dialect.
func (b *builder) calls(a *attributes) {
	if b.infer != nil {
		a.text(attrRPCMethod, b.method)
	} else {
		a.text(attrMethod, b.method)
	}
}

// about names what the call is about.
func (b *builder) about(a *attributes, name string) {
	if b.subject == "" {
		return
	}
	a.text(b.subject, name)
	switch {
	case b.infer != nil && b.method == invoke:
		a.text(attrOperation, chat)
	case b.method == toolsCall:
		a.text(attrOperation, executeTool)
	}
}

// sessionOf returns a name for the session of a call, by which its calls are found together. The id itself is a handle that its
// owner presents, so that it is told to nobody.
func sessionOf(c *rpc.Call) string {
	if c.Client.Session == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(c.Client.Session))
	return hex.EncodeToString(sum[:8])
}

// network says how the client is connected. A client that has no address is the process at the other end of our pipes.
func network(a *attributes, c *rpc.Call) {
	if !c.Remote.IsValid() {
		a.text(attrTransport, overPipe)
		return
	}
	a.text(attrTransport, overTCP)
	a.text(attrProtocol, protocolHTTP)
	a.text(attrClientAddress, c.Remote.Addr().String())
	if port := c.Remote.Port(); port != 0 {
		a.number(attrClientPort, int64(port))
	}
}

// events are what happened on the way.
func (b *builder) events() []*tracepb.Span_Event {
	var room [8]rpc.Event
	var out []*tracepb.Span_Event
	for _, e := range b.record.Events(room[:0]) {
		a := attributes{}
		a.text(attrAbout, text(e.Name))
		if e.Took > 0 {
			a.seconds(attrTook, e.Took)
		}
		out = append(out, &tracepb.Span_Event{Name: string(e.Kind), TimeUnixNano: b.at(e.At), Attributes: a.list})
	}
	return out
}

// finish exports the span of an attempt that has ended.
func (b *builder) finish(a rpc.Attempt) { b.tracer.cfg.Export(b.client(a)) }

// client is the span of one time that an upstream was asked.
func (b *builder) client(t rpc.Attempt) *tracepb.Span {
	s := &tracepb.Span{
		TraceId: b.trace.ID[:], SpanId: t.Span[:], ParentSpanId: b.trace.Span[:], TraceState: b.trace.State, Flags: flags(b.trace.Sampled, false),
		Kind: tracepb.Span_SPAN_KIND_CLIENT, Name: b.name(b.own), StartTimeUnixNano: b.at(t.Began), EndTimeUnixNano: b.at(t.Ended),
	}
	a := attributesOf(10)
	b.calls(&a)
	b.about(&a, b.own)
	if b.infer != nil {
		b.infer.answered(&a, &t)
	} else {
		a.text(attrProtocolVersion, string(t.Revision))
		carrier(&a, t.Transport)
	}
	if host, port, err := net.SplitHostPort(t.Backend); err == nil {
		a.text(attrServerAddress, host)
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			a.number(attrServerPort, int64(n))
		}
	}
	a.text(attrUpstream, t.Upstream)
	a.number(attrAttempt, int64(t.Number))
	a.text(attrReason, t.Reason)
	if t.Queued > 0 {
		a.seconds(attrQueueWait, t.Queued)
	}
	a.text(attrOutcome, t.Outcome.String())
	b.ending(&a, s, t.Outcome)
	s.Attributes = a.list
	if t.First != 0 && t.First != t.Ended {
		s.Events = []*tracepb.Span_Event{{Name: "first message", TimeUnixNano: b.at(t.First)}}
	}
	if before := b.before(t.Number); before != (rpc.SpanID{}) {
		s.Links = append(s.Links, linkTo(b.trace.ID, before, b.trace.Sampled, false, "previous attempt"))
	}
	return s
}

// carrier says what carries messages to an upstream.
func carrier(a *attributes, transport string) {
	if transport == "stdio" {
		a.text(attrTransport, overPipe)
		return
	}
	a.text(attrTransport, overTCP)
	a.text(attrProtocol, protocolOf(transport))
}

func protocolOf(transport string) string {
	if transport == "ws" {
		return protocolWS
	}
	return protocolHTTP
}

// before returns the attempt before one.
func (b *builder) before(number int) (out rpc.SpanID) {
	for try := b.record.First(); try != nil; try = try.Next() {
		if a := try.Attempt(); a.Number < number {
			out = a.Span
		}
	}
	return out
}

// ending says how a span ended. To the one who asked all errors are errors, to the one who was asked only those that are its own.
func (b *builder) ending(a *attributes, s *tracepb.Span, o rpc.Outcome) {
	asks, left := s.Kind == tracepb.Span_SPAN_KIND_CLIENT, o.Err != nil && rpc.CodeOf(o.Err) == rpc.Cancelled
	failure := o.Failure
	var kind, message string
	if o.Err != nil {
		e := rpc.AsError(o.Err)
		kind, message = rpc.CodeOf(o.Err).String(), e.Message
		if !asks && !left { // the client was told in JSON-RPC
			failure = &rpc.WireError{Code: b.tracer.cfg.Status(b.dialect(), e), Message: e.Message}
		}
	}
	switch {
	case failure != nil:
		kind, message = strconv.FormatInt(failure.Code, 10), failure.Message
		a.text(attrStatusCode, kind)
		if b.infer != nil { // the word says the same whatever the transport
			kind = o.String()
		}
	case o.ToolError:
		kind = toolError
	}
	a.text(attrErrorType, kind)
	if blames(o) || asks && kind != "" && !left {
		s.Status = failed(message)
	}
}

func (b *builder) dialect() rpc.Dialect {
	if b.infer != nil {
		return rpc.Infer
	}
	return rpc.MCP
}

func failed(message string) *tracepb.Status {
	return &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: text(message)}
}

// serverFault reports whether a JSON-RPC error is the fault of who served the request (JSON-RPC 2.0, §5.1).
func serverFault(code int64) bool { return code == -32603 || -32099 <= code && code <= -32000 }

func linkTo(id rpc.TraceID, span rpc.SpanID, sampled, remote bool, kind string) *tracepb.Span_Link {
	a := attributes{}
	a.text(attrLink, kind)
	return &tracepb.Span_Link{TraceId: id[:], SpanId: span[:], Flags: flags(sampled, remote), Attributes: a.list}
}
