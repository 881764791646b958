package infer

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/headgate/headgate/rpc"
)

// failure is a row of the table of errors: what a client sees of a kind of failure.
type failure struct {
	code   int64
	reason string
	status int
	later  bool // there is a time after which trying again makes sense
}

// The rows of the table.
var (
	parseError          = failure{-32700, "parse_error", http.StatusBadRequest, false}
	invalidRequest      = failure{-32600, "invalid_request", http.StatusBadRequest, false}
	methodNotFound      = failure{-32601, "method_not_found", http.StatusNotFound, false}
	invalidParams       = failure{-32602, "invalid_params", http.StatusBadRequest, false}
	internal            = failure{-32603, "internal", http.StatusInternalServerError, false}
	unauthenticated     = failure{-32000, "unauthenticated", http.StatusUnauthorized, false}
	forbidden           = failure{-32001, "forbidden", http.StatusForbidden, false}
	rateLimited         = failure{-32002, "rate_limited", http.StatusTooManyRequests, true}
	quotaExhausted      = failure{-32003, "quota_exhausted", http.StatusTooManyRequests, true}
	tooManyInFlight     = failure{-32004, "too_many_in_flight", http.StatusTooManyRequests, true}
	overloaded          = failure{-32005, "overloaded", http.StatusServiceUnavailable, true}
	upstreamUnavailable = failure{-32006, "upstream_unavailable", http.StatusServiceUnavailable, true}
	upstreamError       = failure{-32007, "upstream_error", http.StatusBadGateway, false}
	deadlineExceeded    = failure{-32008, "deadline_exceeded", http.StatusGatewayTimeout, false}
	cancelled           = failure{-32009, "cancelled", statusClientClosed, false}
	unknownJob          = failure{-32010, "unknown_job", http.StatusNotFound, false}
	stateUnavailable    = failure{-32011, "state_unavailable", http.StatusServiceUnavailable, true}
	conflict            = failure{-32012, "conflict", http.StatusConflict, false}
)

// statusClientClosed is what servers commonly say in their logs of a client that has left.
const statusClientClosed = 499

// failures has a row for each kind of failure there is. What HTTP has a status of its own for keeps that.
var failures = map[rpc.Code]failure{
	rpc.Internal:           internal,
	rpc.ParseError:         parseError,
	rpc.InvalidRequest:     invalidRequest,
	rpc.MethodNotFound:     methodNotFound,
	rpc.InvalidParams:      invalidParams,
	rpc.HeaderMismatch:     invalidRequest,
	rpc.MissingCapability:  invalidRequest,
	rpc.UnsupportedVersion: invalidParams,
	rpc.OriginRefused:      forbidden,
	rpc.SessionRequired:    invalidRequest,
	rpc.SessionUnknown:     invalidRequest,
	rpc.TooLarge:           invalidRequest.as(http.StatusRequestEntityTooLarge),
	rpc.UnsupportedMedia:   invalidRequest.as(http.StatusUnsupportedMediaType),
	rpc.NotAcceptable:      invalidRequest.as(http.StatusNotAcceptable),
	rpc.WrongVerb:          invalidRequest.as(http.StatusMethodNotAllowed),
	rpc.NoEndpoint:         invalidRequest.as(http.StatusNotFound),
	rpc.Unauthenticated:    unauthenticated,
	rpc.Forbidden:          forbidden,
	rpc.TooManyTries:       rateLimited,
	rpc.RateLimited:        rateLimited,
	rpc.QuotaExhausted:     quotaExhausted,
	rpc.TooManyInFlight:    tooManyInFlight,
	rpc.JobUnknown:         unknownJob,
	rpc.Conflict:           conflict,
	rpc.Busy:               tooManyInFlight,
	rpc.Overloaded:         overloaded,
	rpc.Draining:           overloaded,
	rpc.AuthDown:           stateUnavailable,
	rpc.StateUnavailable:   stateUnavailable,
	rpc.Cancelled:          cancelled,
	rpc.Stopped:            cancelled,
	rpc.UpstreamDown:       upstreamUnavailable,
	rpc.UpstreamFailed:     upstreamError,
	rpc.UpstreamTimeout:    deadlineExceeded,
}

func (f failure) as(status int) failure {
	f.status = status
	return f
}

// soon is when to try again where nobody knows.
const soon = time.Second

// wait returns when trying again makes sense; 0 where it does not by itself.
func (f failure) wait(e *rpc.Error) time.Duration {
	if e.RetryAfter != 0 || !f.later {
		return max(e.RetryAfter, 0)
	}
	return soon
}

// spelled are the members of data that policies name in the way of MCP. What is empty is left out: it is of no use
// to clients of this dialect.
var spelled = map[string]string{
	"limitName": "limit_name", "resetAt": "reset_at", "retryAfterMs": "retry_after_ms", "requestId": "request_id",
}

// ErrorCode returns the code on the wire of a kind of failure.
func ErrorCode(c rpc.Code) int64 { return failures[c].code }

// HTTPStatus returns the HTTP status of an answer that has nothing in it but an error; of a success where that is nil.
func HTTPStatus(e *rpc.Error) int {
	if e == nil {
		return http.StatusOK
	}
	return failures[e.Code].status
}

// Header returns the HTTP header fields of an answer that has nothing in it but an error. Retry-After is in whole
// seconds, rounded up (RFC 9110 §10.2.3).
func Header(e *rpc.Error) http.Header {
	out := http.Header{}
	if wait := failures[e.Code].wait(e); wait > 0 {
		out.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	}
	maps.Copy(out, e.Header)
	return out
}

// Failure returns the error member for a failure. The data has the reason, the id of the request and, where they are
// not empty, the model and what else the error carries.
func Failure(e *rpc.Error, requestID, model string) *rpc.WireError {
	f := failures[e.Code]
	data := map[string]any{}
	if own, ok := e.Data.(map[string]any); ok {
		for name, v := range own {
			if other, ok := spelled[name]; ok {
				name = other
			}
			data[name] = v
		}
	}
	data["reason"], data["request_id"] = f.reason, requestID
	if model != "" {
		data["model"] = model
	}
	if wait := f.wait(e); wait > 0 {
		data["retry_after_ms"] = wait.Milliseconds()
	}
	out := &rpc.WireError{Code: f.code, Message: e.Message}
	if text, err := json.Marshal(data); err == nil {
		out.Data = text
	}
	return out
}
