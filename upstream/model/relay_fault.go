package model

import (
	"fmt"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// gatewayError is an error that a gateway behind this one has answered with.
type gatewayError struct{ *rpc.WireError }

// Error implements error.
func (e gatewayError) Error() string {
	return fmt.Sprintf("error %d: %s", e.Code, rpc.Excerpt(e.Message))
}

// Unwrap returns the error as it was received.
func (e gatewayError) Unwrap() error { return e.WireError }

// said makes the error for one of another gateway. What that says of the gateway's own credentials and limits there is not
// the client's business; what it says of the request is, and so is what it says of its backends.
func (f *fault) said(e *rpc.WireError) *rpc.Error {
	cause, wait := gatewayError{e}, waits(e)
	overloaded := func(format string) *rpc.Error {
		out := f.make(rpc.Overloaded, cause, "%s", format)
		out.RetryAfter, out.NotRun = wait, true
		return out
	}
	switch e.Code {
	case infer.ErrorCode(rpc.InvalidParams):
		return f.make(rpc.InvalidParams, cause, "does not accept the request%s", f.quote(e.Message))
	case infer.ErrorCode(rpc.Unauthenticated), infer.ErrorCode(rpc.Forbidden):
		return f.failed(cause, "does not let this gateway use the model: the credentials in the headers of its configuration do not allow it")
	case infer.ErrorCode(rpc.RateLimited), infer.ErrorCode(rpc.TooManyInFlight), infer.ErrorCode(rpc.Overloaded):
		return overloaded("takes no more requests at the moment")
	case infer.ErrorCode(rpc.QuotaExhausted):
		out := overloaded("has no budget left for this gateway")
		out.NotRun = false // it may have ended in the middle
		return out
	case infer.ErrorCode(rpc.UpstreamDown), infer.ErrorCode(rpc.StateUnavailable):
		out := f.down(cause, "is a gateway that has nobody to serve it at the moment")
		out.RetryAfter, out.NotRun = wait, true
		return out
	case infer.ErrorCode(rpc.UpstreamTimeout):
		return f.make(rpc.UpstreamTimeout, cause, "did not answer in time")
	case infer.ErrorCode(rpc.UpstreamFailed):
		return f.failed(cause, "is a gateway whose own backend failed%s", f.quote(e.Message))
	}
	return f.failed(cause, "reported an error instead of an answer")
}

// waits reads when a gateway says that trying again makes sense.
func waits(e *rpc.WireError) time.Duration {
	o, err := rpc.ReadObject(e.Data)
	if err != nil {
		return 0
	}
	n, _ := count(o, "retry_after_ms")
	return min(time.Duration(n)*time.Millisecond, maxRetryAfter)
}
