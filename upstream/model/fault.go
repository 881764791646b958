package model

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

const (
	// maxRetryAfter bounds how long a backend can make clients wait.
	maxRetryAfter = time.Hour
	// maxQuoted bounds what of a backend's own words is passed on to a client, in bytes.
	maxQuoted = 400
)

// fault makes errors that name the model and tell the client what went wrong at its backend, without addresses
// and secrets.
type fault struct {
	model   string   // the name of its entry in the configuration
	secrets []string // what no client may read: where the backend is, and what it is sent to be let in
}

// hide has no client read the words of a header, but for those that are too short to be a secret, or say only of which kind
// the secret is.
func (f *fault) hide(value string) {
	const least = 6
	for word := range strings.FieldsSeq(value) {
		if len(word) >= least && !strings.EqualFold(word, "Bearer") {
			f.secrets = append(f.secrets, word)
		}
	}
}

func (f *fault) make(code rpc.Code, cause error, format string, args ...any) *rpc.Error {
	return &rpc.Error{
		Code: code, Upstream: f.model, Cause: cause,
		Message: fmt.Sprintf("the backend of model %q ", f.model) + fmt.Sprintf(format, args...),
	}
}

// down is the error for a backend that cannot be reached.
func (f *fault) down(cause error, format string, args ...any) *rpc.Error {
	return f.make(rpc.UpstreamDown, cause, format, args...)
}

// failed is the error for a backend that answered what is no answer.
func (f *fault) failed(cause error, format string, args ...any) *rpc.Error {
	return f.make(rpc.UpstreamFailed, cause, format, args...)
}

// malformed is the error for an answer that cannot be read.
func (f *fault) malformed(cause error, what string) *rpc.Error {
	return f.failed(cause, "sent %s that cannot be read", what)
}

// exchange makes the error for an HTTP exchange that broke.
func (f *fault) exchange(err error) *rpc.Error {
	switch {
	case errors.Is(err, upstream.ErrTooLarge):
		return f.failed(err, "gave an answer that exceeds the size limit")
	case errors.Is(err, upstream.ErrMalformed):
		return f.failed(err, "gave an answer that is not HTTP/1.1")
	}
	if errors.Is(err, upstream.ErrNotSent) {
		e := f.down(err, "cannot be reached: %s", upstream.Reason(err))
		e.NotRun = true
		return e
	}
	return f.broke(err, "broke off: %s", upstream.Reason(err))
}

// broke is the error for a backend that has begun with a call and went away.
func (f *fault) broke(err error, format string, args ...any) *rpc.Error {
	return f.failed(&brokenError{err}, format, args...)
}

// brokenError is why an answer has no end.
type brokenError struct{ err error }

// Error implements error.
func (e *brokenError) Error() string { return e.err.Error() }

// Unwrap returns the reason.
func (e *brokenError) Unwrap() error { return e.err }

// HTTPStatus returns what a proxy would say of it: the call can be made again, elsewhere.
func (*brokenError) HTTPStatus() int { return http.StatusBadGateway }

// statusError is the status of an answer that is an error, with what was said beside it.
type statusError struct {
	status int
	said   string
}

// Error implements error.
func (e *statusError) Error() string {
	if e.said == "" {
		return fmt.Sprintf("HTTP status %d", e.status)
	}
	return fmt.Sprintf("HTTP status %d: %s", e.status, rpc.Excerpt(e.said))
}

// HTTPStatus returns the status, by which it is decided whether the call is made again.
func (e *statusError) HTTPStatus() int { return e.status }

// refused makes the error for an answer whose status is one. What the backend says of the request itself is for the
// client, who alone can mend it; everything else it says is for the log.
func (f *fault) refused(status int, said string, wait time.Duration) *rpc.Error {
	cause := &statusError{status, said}
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		return f.make(rpc.InvalidParams, cause, "does not accept the request%s", f.quote(said))
	case http.StatusUnauthorized, http.StatusForbidden:
		return f.failed(cause, "does not accept the credentials in the headers of its configuration")
	case http.StatusNotFound:
		return f.failed(cause, "does not have the model, or its configured URL is wrong")
	case http.StatusTooManyRequests:
		e := f.make(rpc.Overloaded, cause, "takes no more requests at the moment")
		e.RetryAfter, e.NotRun = wait, true
		return e
	case http.StatusServiceUnavailable: // what stands between may say so of a call that runs
		e := f.make(rpc.Overloaded, cause, "cannot serve the request at the moment")
		e.RetryAfter = wait
		return e
	}
	e := f.failed(cause, "answered with HTTP status %d", status)
	if status >= 300 && status < 400 {
		e.Message += ": redirects are not followed, its configured URL has to be the final one"
	}
	return e
}

// complained makes the error for one that stands in an answer whose status is none, or in a stream. The code is what
// the backend calls it; 0 where it does not say.
func (f *fault) complained(code int, said string) *rpc.Error {
	if code >= 400 && code < 600 {
		return f.refused(code, said, 0)
	}
	return f.failed(errors.New("error: "+rpc.Excerpt(said)), "reported an error instead of an answer")
}

// quote returns a backend's words as the end of a sentence; nothing where they could tell more than the client may know.
func (f *fault) quote(said string) string {
	said = strings.TrimSpace(said)
	if said == "" || strings.Contains(said, "://") {
		return ""
	}
	for _, secret := range f.secrets {
		if strings.Contains(said, secret) {
			return ""
		}
	}
	if len(said) > maxQuoted {
		said = said[:maxQuoted] + "…"
	}
	return ": " + strings.Map(rpc.Printable, strings.ToValidUTF8(said, "\ufffd"))
}

// retryAfter reads when a backend wants to be asked again (RFC 9110 §10.2.3); 0 where it does not say.
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, time.Until(at)), maxRetryAfter)
	}
	return 0
}

// complaint finds what an answer says went wrong, in the forms that are in use: {"error": {"message", "code"}},
// {"error": "…"} and {"object": "error", "message", "code"}. Where it says that nothing did, found is false, and what is said is
// what explains an HTTP status.
func complaint(o rpc.Object) (code int, said string, found bool) {
	failure, ok := o.Get("error")
	switch {
	case ok && failure[0] == '{':
		inner, err := rpc.ReadObject(failure)
		if err != nil {
			return 0, "", true
		}
		return status(inner), text(inner, "message"), true
	case ok && failure[0] == '"':
		return status(o), text(o, "error"), true
	case ok && string(failure) != "null" && string(failure) != "false":
		return 0, string(failure), true
	}
	if kind, ok := o.Get("object"); ok && string(kind) == `"error"` {
		return status(o), text(o, "message"), true
	}
	return 0, cmp.Or(text(o, "message"), text(o, "detail")), false
}

// status reads the member code where it looks like an HTTP status.
func status(o rpc.Object) int {
	v, _ := o.Get("code")
	n, err := strconv.Atoi(strings.Trim(string(v), `"`))
	if err != nil || n < 400 || n > 599 {
		return 0
	}
	return n
}

// text returns a member's text, as it is written where it is no string.
func text(o rpc.Object, name string) string {
	if s, ok := o.Text(name); ok {
		return s
	}
	v, _ := o.Get(name)
	return string(v)
}
