package rpc

import (
	"context"
	"errors"
	"strings"
)

// Outcome is how a call or an attempt ended. Its zero value is a result, or that no
// response was due.
type Outcome struct {
	Err       error      // why there was no response; nil if there was one, or none was due
	Failure   *WireError // the error that the server answered with, without its data; else nil
	ToolError bool       // the result says that the tool failed
}

// errLeft is the outcome of what nobody waits for any more.
var errLeft = &Error{Code: Cancelled, Message: "nobody waits for the response any more"}

// errPanicked is the outcome of a call whose source did not return.
var errPanicked = &Error{Code: Internal, Message: "internal error"}

// outcomeOf reads a response. What it keeps does not lie in its memory.
func outcomeOf(m *Message) Outcome {
	if m.Err != nil {
		return Outcome{Failure: &WireError{Code: m.Err.Code, Message: clipped(m.Err.Message)}}
	}
	failed, ok := m.Get("isError")
	return Outcome{ToolError: ok && string(failed) == "true"}
}

// clipped bounds text from outside.
func clipped(s string) string {
	const most = 256
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.Map(Printable, strings.ToValidUTF8(s, "\ufffd"))
}

// OK reports whether there was a result that is no failure of a tool, or no response was
// due.
func (o Outcome) OK() bool { return o == Outcome{} }

// String names the outcome in one word, of which there are few: ok, tool_error, error for a
// server's own, or the name of the code by which the gateway refused or gave up.
func (o Outcome) String() string {
	switch {
	case o.Err != nil:
		return CodeOf(o.Err).String()
	case o.Failure != nil:
		return "error"
	case o.ToolError:
		return "tool_error"
	}
	return "ok"
}

// CodeOf returns the code of an error. Whoever gives up with its context says so with the
// bare error of that.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return UpstreamTimeout
	case errors.Is(err, context.Canceled):
		return Cancelled
	}
	return Internal
}
