package metrics

import (
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/headgate/headgate/rpc"
)

// Vocabulary is what the protocol knows, so that labels have no other values.
type Vocabulary struct {
	Method   func(name string) bool
	Revision func(rpc.Revision) bool
	Code     func(rpc.Code) int64 // on the wire
	// Invokes knows the methods of the inference dialect.
	Invokes func(method string) bool
}

// Calls records the calls of clients, and what upstreams were asked for them. It may be used by many goroutines at once.
type Calls struct {
	known   Vocabulary
	server  *histogram[serverKey]
	client  *histogram[clientKey]
	waits   *histogram[waitKey]
	retries *counts[retryKey]
	infer   *inference
	failed  [codes]atomic.Uint64
	texts   [codes]string // of the code on the wire
}

var _ rpc.Observer = (*Calls)(nil)

// codes is more than there are kinds of failure.
const codes = 64

// NewCalls returns a record in which there are no calls.
func NewCalls(known Vocabulary) *Calls {
	c := &Calls{
		known:  known,
		server: newHistogram[serverKey](serverOperation, ofTools), client: newHistogram[clientKey](clientOperation, ofTools),
		waits: newHistogram[waitKey](queueWait, ofTools), retries: newCounts[retryKey](upstreamRetries),
		infer: newInference(),
	}
	for i := range c.texts {
		c.texts[i] = strconv.FormatInt(known.Code(rpc.Code(i)), 10)
	}
	return c
}

// Begin implements [rpc.Observer].
func (c *Calls) Begin(*rpc.Call) {}

// End implements [rpc.Observer].
func (c *Calls) End(call *rpc.Call) {
	r := call.Record
	outcome := r.Outcome()
	if outcome.Err != nil {
		c.failed[rpc.CodeOf(outcome.Err)].Add(1)
	}
	if call.Dialect == rpc.Infer {
		if !internal(call.Method.Name) {
			c.infer.ended(call, c.known.Invokes)
		}
		return
	}
	s := c.subject(call)
	for t := r.First(); t != nil; t = t.Next() {
		c.attempted(t, s)
	}
	if internal(call.Method.Name) {
		return
	}
	_, ended := r.Times()
	k := serverKey{subject: s, end: c.ending(outcome), version: call.Client.Revision, piped: !call.Remote.IsValid()}
	if !c.known.Revision(k.version) {
		k.version = Other
	}
	c.server.observe(k, ended)
}

// internal reports whether a method is one that the edge makes up. No client can name those.
func internal(method string) bool { return strings.HasPrefix(method, "session/") }

// subject is what a call is about.
type subject struct{ method, tool, prompt string }

func (c *Calls) subject(call *rpc.Call) subject {
	s := subject{method: call.Method.Name}
	name := call.Target.Canonical
	if call.Target.Upstream == "" || call.Target.Unlisted {
		name = Other
	}
	switch {
	case s.method == callTool:
		s.tool = name
	case s.method == getPrompt:
		s.prompt = name
	case !c.known.Method(s.method) && !internal(s.method):
		s.method = Other
	}
	return s
}

// The methods whose subject is a label.
const (
	callTool  = "tools/call"
	getPrompt = "prompts/get"
)

// folded is the subject without what there may be much of.
func (s subject) folded() subject {
	if s.tool != "" {
		s.tool = Other
	}
	if s.prompt != "" {
		s.prompt = Other
	}
	return s
}

// operation is the conventions' name for the method, where they have one.
func (s subject) operation() string {
	if s.method == callTool {
		return "execute_tool"
	}
	return ""
}

// ending is how a call or an attempt ended.
type ending struct {
	status string // the code of the error on the wire; empty for none
	tool   bool   // the result says that the tool failed
}

func (c *Calls) ending(o rpc.Outcome) ending {
	switch {
	case o.Err != nil:
		return ending{status: c.texts[rpc.CodeOf(o.Err)]}
	case o.Failure != nil:
		return ending{status: c.status(o.Failure.Code)}
	}
	return ending{tool: o.ToolError}
}

// errorType is the class of the error by the conventions.
func (e ending) errorType() string {
	if e.tool {
		return "tool_error"
	}
	return e.status
}

// status returns the label of a server's code: those of JSON-RPC, of MCP and of the gateway are few.
func (c *Calls) status(code int64) string {
	if text, ok := wireCodes[code]; ok {
		return text
	}
	for i := range c.texts {
		if c.known.Code(rpc.Code(i)) == code {
			return c.texts[i]
		}
	}
	return Other
}

// wireCodes are the codes of servers that labels may have beside the gateway's own (JSON-RPC 2.0, section 5.1; MCP, Errors).
var wireCodes = map[int64]string{
	-32700: "-32700", -32600: "-32600", -32601: "-32601", -32602: "-32602", -32603: "-32603",
	-32000: "-32000", -32001: "-32001", -32002: "-32002", -32042: "-32042", -32020: "-32020", -32021: "-32021", -32022: "-32022",
}

// serverKey tells the series of mcp.server.operation.duration apart.
type serverKey struct {
	subject
	end     ending
	version rpc.Revision
	piped   bool
}

func (k serverKey) values() []string {
	transport, protocol := "tcp", "http"
	if k.piped {
		transport, protocol = "pipe", ""
	}
	return []string{k.method, k.tool, k.prompt, k.operation(), k.end.errorType(), k.end.status, string(k.version), transport, protocol}
}

func (k serverKey) folded() serverKey {
	k.subject = k.subject.folded()
	return k
}

// Samples is the [Source] of what was recorded.
func (c *Calls) Samples(s *Sink) {
	for i := range c.failed {
		n := float64(c.failed[i].Load())
		if n == 0 {
			continue
		}
		code := rpc.Code(i)
		s.Set(CallsFailed, n, code.String())
		switch code {
		case rpc.RateLimited, rpc.QuotaExhausted, rpc.TooManyInFlight, rpc.TooManyTries:
			s.Set(RateLimitRejected, n, code.String())
		}
	}
	c.server.samples(s)
	c.client.samples(s)
	c.waits.samples(s)
	c.retries.samples(s)
	c.infer.samples(s)
}
