package edge

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/headgate/headgate/rpc"
)

// lingering is how long net/http may wait for the rest of a body nobody reads before
// it gives the connection up.
const lingering = time.Second

// badRequest is an error that makes the HTTP request a bad one, whatever status its
// kind has otherwise: a missing or malformed _meta, unlike other invalid parameters
// (MCP 2026-07-28, Basic, _meta).
type badRequest struct{ error }

func (e badRequest) Unwrap() error { return e.error }

// fail answers with an error, in the form the answer has by now.
func (x *exchange) fail(err error) {
	e := failure(err)
	status := x.speech.status(e, x.era)
	if _, ok := errors.AsType[badRequest](err); ok {
		status = http.StatusBadRequest
	}
	if x.speech.name == rpc.MCP && x.cfg().LimitsAsOK && isLimit(e.Code) {
		status = http.StatusOK
	}
	if status < http.StatusBadRequest && x.id.IsZero() {
		if x.r.Method == http.MethodPost {
			x.acknowledge(http.StatusAccepted) // nobody waits for the outcome of a notification
			return
		}
		status = http.StatusInternalServerError // there is no response to say it in
	}
	if !x.whole.Load() && x.r.Body != http.NoBody {
		_ = x.rc.SetReadDeadline(time.Now().Add(lingering))
	}
	x.keepHeader(x.speech.header(e))
	x.land()
	x.out.finish(rpc.NewError(x.id, x.speech.failure(e, x.name, x.model())), status)
}

// model returns the model that the request is about, as far as that is known.
func (x *exchange) model() string {
	if x.call == nil {
		return ""
	}
	return x.call.Target.Exposed
}

// isLimit reports whether a refusal is for the amount of what was asked before.
func isLimit(code rpc.Code) bool {
	switch code {
	case rpc.RateLimited, rpc.QuotaExhausted, rpc.TooManyInFlight, rpc.Busy:
		return true
	}
	return false
}

// headerOf returns the header fields an error's answer has.
func headerOf(e *rpc.Error) http.Header {
	if e.RetryAfter <= 0 {
		return e.Header
	}
	out := http.Header{"Retry-After": {retryAfter(e.RetryAfter)}}
	maps.Copy(out, e.Header)
	return out
}

// retryAfter is in whole seconds, rounded up (RFC 9110 §10.2.3).
func retryAfter(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// failure returns what a client is told about an error.
func failure(err error) *rpc.Error {
	if e, ok := errors.AsType[*rpc.Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &rpc.Error{Code: rpc.UpstreamTimeout, Message: "the call took too long", Cause: err}
	case errors.Is(err, context.Canceled):
		return &rpc.Error{Code: rpc.Cancelled, Message: "the call was cancelled", Cause: err}
	}
	return rpc.AsError(err)
}
