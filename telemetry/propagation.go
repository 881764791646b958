package telemetry

import (
	"encoding/json"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/headgate/headgate/rpc"
)

// maxTraceState is the longest tracestate that is passed on (W3C Trace Context, §3.3.1.5, asks for 512 characters at least).
const maxTraceState = 512

// context is what a sender says of the trace that it is part of.
type traceContext struct {
	id      rpc.TraceID
	span    rpc.SpanID
	sampled bool
	state   string
}

// contextOf reads the context of a call. What its _meta says is the parent; an HTTP header speaks of the
// request that carried the message, which is the parent only where _meta has none, and else a link (semantic conventions for MCP,
// Context propagation).
func contextOf(c *rpc.Call) (parent traceContext, link rpc.TraceLink) {
	carrier, carried := headerContext(c)
	parent, ok := metaContext(c.Message)
	if !ok {
		return carrier, link
	}
	if carried && carrier.span != parent.span {
		link = rpc.TraceLink{ID: carrier.id, Span: carrier.span, Sampled: carrier.sampled, Kind: "http"}
	}
	return parent, link
}

func metaContext(m *rpc.Message) (t traceContext, ok bool) {
	raw, sent := m.Meta("traceparent")
	if !sent {
		return t, false
	}
	if t.id, t.span, t.sampled, ok = rpc.ParseTraceParent(inside(raw)); !ok {
		return t, false
	}
	if raw, sent = m.Meta("tracestate"); sent {
		t.state = traceState(string(inside(raw)))
	}
	return t, true
}

// inside returns a JSON string without its quotes. What has escapes is neither a traceparent nor a tracestate anybody writes.
func inside(raw json.RawMessage) []byte {
	if len(raw) < 2 || raw[0] != '"' {
		return nil
	}
	return raw[1 : len(raw)-1]
}

// headerContext reads the header of the request. That of a connection says nothing of one message. More than one
// traceparent is none (W3C Trace Context, §3.2).
func headerContext(c *rpc.Call) (t traceContext, ok bool) {
	if c.Bare {
		return t, false
	}
	header := c.Header
	parents := header["Traceparent"]
	if len(parents) != 1 {
		return t, false
	}
	if t.id, t.span, t.sampled, ok = rpc.ParseTraceParent(parents[0]); !ok {
		return t, false
	}
	if states := header["Tracestate"]; len(states) > 0 {
		t.state = traceState(strings.Clone(strings.Join(states, ","))) // the header's memory is used again
	}
	return t, true
}

// traceState returns a tracestate that may be passed on; nothing where it is not what it should be, which leaves
// the traceparent as it is (W3C Trace Context, §4.3).
func traceState(s string) string {
	if s == "" || len(s) > maxTraceState {
		return ""
	}
	if _, err := trace.ParseTraceState(s); err != nil {
		return ""
	}
	return s
}
