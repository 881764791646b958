package mcpserver

import (
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// Names of what W3C Trace Context and W3C Baggage put into a message's _meta (MCP 2026-07-28, Basic, _meta) and into HTTP headers.
const (
	traceParent = "traceparent"
	traceState  = "tracestate"
	baggage     = "baggage"
)

// propagate tells the upstream of the attempt, whose span takes the place of the client's, and passes the trace's state on. Baggage
// is for those who trust who sent it, and ends here. Where nobody traces, what the client sent passes untouched.
func (x *exchange) propagate() {
	quoted := x.try.AppendTraceParent(append(x.room[:0], '"'))
	x.parent = quoted[1:]
	if len(x.parent) == 0 {
		return
	}
	m := x.message
	m.SetMeta(traceParent, append(quoted, '"'))
	state := x.try.TraceState()
	sent, ok := m.Meta(traceState)
	switch {
	case state == "" && ok:
		m.DropMeta(traceState)
	case state != "" && string(sent) != `"`+state+`"`:
		m.SetMeta(traceState, rpc.AppendString(nil, state))
	}
	if _, ok := m.Meta(baggage); ok {
		m.DropMeta(baggage)
	}
}

// withTrace adds the header fields that say the same, for what lies between the upstream and us. The client's own speak of its hop and end
// here, also where nobody traces.
func withTrace(header []upstream.Field, x *exchange) []upstream.Field {
	if len(x.parent) == 0 {
		return header
	}
	header = append(header, upstream.Field{Name: traceParent, Bytes: x.parent})
	if state := x.try.TraceState(); state != "" {
		header = append(header, upstream.Field{Name: traceState, Value: state})
	}
	return header
}
