package rpc

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Code says what kind of failure an [Error] is. The list is closed; each dialect
// maps it to its own error codes and HTTP statuses.
type Code uint8

// The kinds of failure, by whose fault they are.
const (
	Internal Code = iota // the gateway's own defect

	// The client's.
	ParseError         // not the JSON that is accepted
	InvalidRequest     // JSON, but no message that fits here
	MethodNotFound     // no such method in this revision
	InvalidParams      // a parameter is missing or wrong, or names what does not exist
	HeaderMismatch     // a header says something else than the body
	MissingCapability  // the client did not declare what the request needs
	UnsupportedVersion // a revision that is not spoken here
	OriginRefused      // Origin or Host is not allowed
	SessionRequired    // a legacy request without a session
	SessionUnknown     // a session that ended or never was
	TooLarge           // the body exceeds the limit
	UnsupportedMedia   // the body's media type or coding is not accepted
	NotAcceptable      // the client accepts no form the answer has
	WrongVerb          // the HTTP method is not served on this path
	NoEndpoint         // no endpoint has this path
	Unauthenticated    // no credential, or one that is not good
	Forbidden          // the credential does not allow this
	TooManyTries       // too many wrong credentials came from the client's address
	RateLimited        // more requests in a time than a limit allows
	QuotaExhausted     // a budget is used up
	TooManyInFlight    // more calls at the same time than a limit allows
	JobUnknown         // a job that is over, that never was, or that is somebody else's
	Conflict           // the same key for two things that differ

	// Of nobody in particular.
	Busy             // a limit on calls in flight is reached
	Overloaded       // the gateway has as many calls in flight as it takes
	Draining         // the gateway is shutting down
	AuthDown         // whoever knows about the credential cannot be asked
	StateUnavailable // what has to be remembered cannot be
	Cancelled        // the client cancelled or left
	Stopped          // an operator ended the call

	// The upstream's.
	UpstreamDown    // it cannot be reached, or ended in mid-call
	UpstreamFailed  // it answered something that is no answer
	UpstreamTimeout // it did not answer in time
)

var codeNames = [...]string{
	Internal: "internal", ParseError: "parse_error", InvalidRequest: "invalid_request", MethodNotFound: "method_not_found",
	InvalidParams: "invalid_params", HeaderMismatch: "header_mismatch", MissingCapability: "missing_capability",
	UnsupportedVersion: "unsupported_version", OriginRefused: "origin_refused", SessionRequired: "session_required",
	SessionUnknown: "session_unknown", TooLarge: "too_large", UnsupportedMedia: "unsupported_media",
	NotAcceptable: "not_acceptable", WrongVerb: "wrong_verb", NoEndpoint: "no_endpoint", Unauthenticated: "unauthenticated",
	Forbidden: "forbidden", TooManyTries: "too_many_tries", RateLimited: "rate_limited",
	JobUnknown: "unknown_job", Conflict: "conflict",
	QuotaExhausted: "quota_exhausted", TooManyInFlight: "too_many_in_flight", StateUnavailable: "state_unavailable", Busy: "busy", Overloaded: "overloaded", Draining: "draining", AuthDown: "auth_down",
	Cancelled: "cancelled", Stopped: "stopped", UpstreamDown: "upstream_down", UpstreamFailed: "upstream_failed", UpstreamTimeout: "upstream_timeout",
}

// String returns the code's name in logs and in the data of an error, such as
// "upstream_down". The names are stable.
func (c Code) String() string { return codeNames[c] }

// Error is a failure that ends a call. Message goes to the client and must hold no
// secret, no upstream address and no internals; Cause goes to the log.
type Error struct {
	Code       Code
	Message    string
	Upstream   string        // the upstream concerned, if one is
	Header     http.Header   // further HTTP header fields of the answer
	RetryAfter time.Duration // when trying again makes sense; 0 if unknown, negative if it never does
	NotRun     bool          // the upstream certainly has not seen the call, so that it can be made again
	Data       any           // members of the error's data beside the gateway's own
	Cause      error
}

// Errorf returns an [Error] with a formatted message; %w sets its cause. The client
// sees the text of such a cause too: one that is for the log alone goes into the
// field, not into the format.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Cause: errors.Unwrap(err)}
}

// Error implements error.
func (e *Error) Error() string {
	if e.Cause != nil && !strings.Contains(e.Message, e.Cause.Error()) {
		return e.Code.String() + ": " + e.Message + ": " + e.Cause.Error()
	}
	return e.Code.String() + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// AsError returns the [Error] in err's chain, or an Internal one that hides err
// from the client.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: Internal, Message: "internal error", Cause: err}
}
