package mcp

import (
	"encoding/json"
	"maps"
	"net/http"

	"github.com/headgate/headgate/rpc"
)

// Error codes on the wire (JSON-RPC 2.0, section 5.1; MCP 2026-07-28, Errors). The
// gateway's own lie above -32000, outside everything that is reserved.
const (
	CodeParseError         = -32700
	CodeInvalidRequest     = -32600
	CodeMethodNotFound     = -32601
	CodeInvalidParams      = -32602
	CodeInternal           = -32603
	CodeHeaderMismatch     = -32020
	CodeMissingCapability  = -32021
	CodeUnsupportedVersion = -32022
	CodeURLElicitation     = -32042 // legacy only: pages must be visited first

	CodeUpstreamDown     = 101
	CodeUpstreamFailed   = 102
	CodeUpstreamTimeout  = 103
	CodeBusy             = 104
	CodeDraining         = 105
	CodeCancelled        = 106
	CodeTooLarge         = 107
	CodeUnauthenticated  = 108
	CodeForbidden        = 109
	CodeTooManyTries     = 110
	CodeAuthDown         = 111
	CodeRateLimited      = 112
	CodeQuotaExhausted   = 113
	CodeTooManyInFlight  = 114
	CodeStateUnavailable = 115
	CodeOverloaded       = 116
	CodeStopped          = 117
	CodeJobUnknown       = 118
	CodeConflict         = 119
)

// wire says how a kind of failure looks: its error code, and its HTTP status if it
// is answered before any message was.
type wire struct {
	code   int64
	status int
}

var wires = map[rpc.Code]wire{
	rpc.Internal:           {CodeInternal, 200},
	rpc.ParseError:         {CodeParseError, 400},
	rpc.InvalidRequest:     {CodeInvalidRequest, 400},
	rpc.MethodNotFound:     {CodeMethodNotFound, 200},
	rpc.InvalidParams:      {CodeInvalidParams, 200},
	rpc.HeaderMismatch:     {CodeHeaderMismatch, 400},
	rpc.MissingCapability:  {CodeMissingCapability, 400},
	rpc.UnsupportedVersion: {CodeUnsupportedVersion, 400},
	rpc.OriginRefused:      {CodeInvalidRequest, 403},
	rpc.SessionRequired:    {CodeInvalidRequest, 400},
	rpc.SessionUnknown:     {CodeInvalidRequest, 404},
	rpc.TooLarge:           {CodeTooLarge, 413},
	rpc.UnsupportedMedia:   {CodeInvalidRequest, 415},
	rpc.NotAcceptable:      {CodeInvalidRequest, 406},
	rpc.WrongVerb:          {CodeInvalidRequest, 405},
	rpc.NoEndpoint:         {CodeInvalidRequest, 404},
	rpc.Unauthenticated:    {CodeUnauthenticated, 401},
	rpc.Forbidden:          {CodeForbidden, 403},
	rpc.TooManyTries:       {CodeTooManyTries, 429},
	rpc.AuthDown:           {CodeAuthDown, 503},
	rpc.RateLimited:        {CodeRateLimited, 429},
	rpc.QuotaExhausted:     {CodeQuotaExhausted, 429},
	rpc.TooManyInFlight:    {CodeTooManyInFlight, 429},
	rpc.StateUnavailable:   {CodeStateUnavailable, 503},
	rpc.JobUnknown:         {CodeJobUnknown, 404},
	rpc.Conflict:           {CodeConflict, 409},
	rpc.Busy:               {CodeBusy, 429},
	rpc.Overloaded:         {CodeOverloaded, 503},
	rpc.Draining:           {CodeDraining, 503},
	rpc.Cancelled:          {CodeCancelled, 200},
	rpc.Stopped:            {CodeStopped, 200},
	rpc.UpstreamDown:       {CodeUpstreamDown, 200},
	rpc.UpstreamFailed:     {CodeUpstreamFailed, 200},
	rpc.UpstreamTimeout:    {CodeUpstreamTimeout, 200},
}

// Code returns the error code of a kind of failure.
func Code(c rpc.Code) int64 { return wires[c].code }

// Status returns the HTTP status of an answer to a client of an era, from its
// outcome alone. A nil error is a success.
func Status(e *rpc.Error, era rpc.Era) int {
	if e == nil {
		return http.StatusOK
	}
	if e.Code == rpc.MethodNotFound && era == rpc.Modern {
		return http.StatusNotFound // MCP 2026-07-28, Streamable HTTP: unknown method
	}
	return wires[e.Code].status
}

// StatusOf returns the HTTP status of a response that an upstream made, for a
// client of an era. The statuses are those that the specification fixes for modern
// clients; a legacy client gets 200, because it takes 404 for the end of its session.
func StatusOf(m *rpc.Message, era rpc.Era) int {
	if m.Err == nil || era == rpc.Legacy {
		return http.StatusOK
	}
	switch m.Err.Code {
	case CodeHeaderMismatch, CodeMissingCapability, CodeUnsupportedVersion:
		return http.StatusBadRequest
	case CodeMethodNotFound:
		return http.StatusNotFound
	}
	return http.StatusOK
}

// retryable reports whether the same call may succeed later and does no harm if it is made again.
func retryable(e *rpc.Error) bool {
	switch e.Code {
	case rpc.Busy, rpc.Overloaded, rpc.Draining:
		return true
	case rpc.UpstreamDown, rpc.UpstreamTimeout:
		return e.NotRun
	}
	return false
}

// Failure returns the error member for a failure. The data names the kind, the
// upstream concerned and whether trying again makes sense, beside what the error
// itself carries.
func Failure(e *rpc.Error) *rpc.WireError {
	data := map[string]any{}
	if own, ok := e.Data.(map[string]any); ok {
		maps.Copy(data, own)
	}
	if wires[e.Code].code > -32000 {
		data["reason"], data["retryable"] = e.Code.String(), retryable(e)
	}
	if e.Upstream != "" {
		data["upstream"] = e.Upstream
	}
	if e.RetryAfter > 0 {
		data["retryAfterMs"] = e.RetryAfter.Milliseconds()
	}
	out := &rpc.WireError{Code: wires[e.Code].code, Message: e.Message}
	if len(data) > 0 {
		text, err := json.Marshal(data)
		if err == nil {
			out.Data = text
		}
	}
	return out
}
