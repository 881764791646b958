package mcpserver

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/upstream"
)

// maxRetryAfter bounds how long an upstream can make clients wait.
const maxRetryAfter = time.Hour

// statusError is an answer that carries an HTTP status and no JSON-RPC message.
type statusError struct {
	status int
	body   string // its beginning
}

// Error implements error.
func (e *statusError) Error() string {
	if e.body == "" {
		return fmt.Sprintf("HTTP status %d", e.status)
	}
	return fmt.Sprintf("HTTP status %d: %s", e.status, rpc.Excerpt(e.body))
}

// HTTPStatus returns the status. Callers that have to tell an authorization from a
// failure find it with errors.As and an interface of this method.
func (e *statusError) HTTPStatus() int { return e.status }

// Body returns the beginning of what came with the status, which may be anything.
func (e *statusError) Body() string { return e.body }

// misunderstood reports whether this is how a server answers a request that it does
// not understand.
func (e *statusError) misunderstood() bool {
	switch e.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests,
		http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge:
		return false
	}
	return e.status >= 400 && e.status < 500
}

// refused makes the error for an answer that is an HTTP status only. What the body
// says is for the log: it may hold anything.
func (f fault) refused(resp *upstream.Response, body []byte) *rpc.Error {
	e := f.failed(&statusError{resp.Status, string(body[:min(len(body), 2048)])}, "answered with HTTP status %d", resp.Status)
	switch {
	case resp.Status == http.StatusUnauthorized, resp.Status == http.StatusForbidden:
		e.Message += ": it does not accept the credentials in the headers of its configuration"
	case resp.Status == http.StatusTooManyRequests, resp.Status == http.StatusServiceUnavailable:
		if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 32); err == nil {
			e.RetryAfter = min(time.Duration(seconds)*time.Second, maxRetryAfter)
		}
	case resp.Status >= 300 && resp.Status < 400:
		e.Message += ": redirects are not followed, its configured URL has to be the final one"
	}
	return e
}

// unanswered makes the error for a request that was accepted and can never be answered.
func (f fault) unanswered(status int) *rpc.Error {
	return f.failed(nil, "accepted the request (HTTP status %d) and has no stream to answer it on", status)
}

// authorization reports whether an answer is about the gateway's credentials or its
// rate. What such an answer says to the gateway is not for the client, whatever it looks like.
func authorization(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusTooManyRequests
}

// mediaType returns the media type of an answer in lower case, without parameters.
func mediaType(resp *upstream.Response) string {
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

const (
	typeJSON   = "application/json"
	typeEvents = "text/event-stream"
)

// eraLost reports whether an answer to a modern request is one that no modern server
// gives: the server behind the URL has become another one. Modern servers name revisions
// where they differ, and legacy ones use codes that the modern era does not.
func eraLost(status int, m *rpc.Message) bool {
	if m == nil || m.Err == nil {
		return (&statusError{status: status}).misunderstood()
	}
	switch code := m.Err.Code; {
	case code == mcp.CodeUnsupportedVersion:
		return true
	case status < 400:
		return false
	default:
		return code == mcp.CodeInvalidRequest || code == mcp.CodeParseError || code <= -32000 && code >= -32019
	}
}

// exchangeFault makes the error for an HTTP exchange that broke.
func (f fault) exchangeFault(err error, doing string) *rpc.Error {
	switch {
	case errors.Is(err, upstream.ErrTooLarge):
		return f.failed(err, "gave an answer that exceeds the size limit")
	case errors.Is(err, upstream.ErrMalformed):
		return f.failed(err, "gave an answer that is not HTTP/1.1")
	}
	return f.down(err, "%s: %s", doing, upstream.Reason(err))
}
