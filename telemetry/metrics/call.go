package metrics

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Vocabulary is what the protocol knows, so that labels have no other values.
type Vocabulary struct {
	Method   func(name string) bool
	Revision func(rpc.Revision) bool
	Code     func(rpc.Code) int64 // on the wire
}

// Calls records the calls of clients. It may be used by many goroutines at once.
type Calls struct {
	known  Vocabulary
	server *histogram[serverKey]
	failed [codes]atomic.Uint64
	texts  [codes]string // of the code on the wire
}

// codes is more than there are kinds of failure.
const codes = 64

// NewCalls returns a record in which there are no calls.
func NewCalls(known Vocabulary) *Calls {
	c := &Calls{known: known, server: newHistogram[serverKey](serverOperation)}
	for i := range c.texts {
		c.texts[i] = strconv.FormatInt(known.Code(rpc.Code(i)), 10)
	}
	return c
}

// Ended records a call that ended after a time: with an answer, with one that is an error, or with a failure.
// ToolError says that the answer is a tool's own error.
func (c *Calls) Ended(call *rpc.Call, took time.Duration, failure error, answer *rpc.WireError, toolError bool) {
	if failure != nil {
		c.failed[rpc.AsError(failure).Code].Add(1)
	}
	if internal(call.Method.Name) {
		return
	}
	k := serverKey{method: call.Method.Name, version: call.Client.Revision, piped: !call.Remote.IsValid()}
	if !c.known.Method(k.method) {
		k.method = Other
	}
	if !c.known.Revision(k.version) {
		k.version = Other
	}
	k.tool, k.prompt = subject(&call.Target, k.method)
	switch {
	case failure != nil:
		k.status = c.texts[rpc.AsError(failure).Code]
	case answer != nil:
		k.status = c.status(answer.Code)
	case toolError:
		k.toolError = true
	}
	c.server.observe(k, took)
}

// subject returns the label of the tool or prompt that a call is about.
func subject(t *rpc.Target, method string) (tool, prompt string) {
	name := t.Canonical
	if t.Upstream == "" || t.Unlisted {
		name = Other
	}
	switch method {
	case "tools/call":
		return name, ""
	case "prompts/get":
		return "", name
	}
	return "", ""
}

// internal reports whether a method is one that the edge makes up. No client can name those.
func internal(method string) bool { return len(method) > 8 && method[:8] == "session/" }

// status returns the label of an error's code: those of JSON-RPC, of MCP and of the gateway are few.
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
	method, tool, prompt, status string
	version                      rpc.Revision
	toolError, piped             bool
}

func (k serverKey) values() []string {
	operation, failure := "", k.status
	if k.method == "tools/call" {
		operation = "execute_tool"
	}
	if k.toolError {
		failure = "tool_error"
	}
	carrier, protocol := carriers(k.piped)
	return []string{k.method, k.tool, k.prompt, operation, failure, k.status, string(k.version), carrier, protocol}
}

func (k serverKey) folded() serverKey {
	if k.tool != "" {
		k.tool = Other
	}
	if k.prompt != "" {
		k.prompt = Other
	}
	return k
}

// carriers returns the labels of the transport.
func carriers(piped bool) (transport, protocol string) {
	if piped {
		return "pipe", ""
	}
	return "tcp", "http"
}

// Samples is the [Source] of what was counted.
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
	c.server.each(func(values []string, r reading) { s.distribution(c.server.definition, values, r) })
}
