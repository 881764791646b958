package infer_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// TestEveryKindOfFailureHasARow pins the table of errors.
func TestEveryKindOfFailureHasARow(t *testing.T) {
	t.Parallel()
	type row struct {
		code   int64
		reason string
		status int
		after  string
	}
	want := map[rpc.Code]row{
		rpc.Internal:           {-32603, "internal", 500, ""},
		rpc.ParseError:         {-32700, "parse_error", 400, ""},
		rpc.InvalidRequest:     {-32600, "invalid_request", 400, ""},
		rpc.MethodNotFound:     {-32601, "method_not_found", 404, ""},
		rpc.InvalidParams:      {-32602, "invalid_params", 400, ""},
		rpc.HeaderMismatch:     {-32600, "invalid_request", 400, ""},
		rpc.MissingCapability:  {-32600, "invalid_request", 400, ""},
		rpc.UnsupportedVersion: {-32602, "invalid_params", 400, ""},
		rpc.OriginRefused:      {-32001, "forbidden", 403, ""},
		rpc.SessionRequired:    {-32600, "invalid_request", 400, ""},
		rpc.SessionUnknown:     {-32600, "invalid_request", 400, ""},
		rpc.TooLarge:           {-32600, "invalid_request", 413, ""},
		rpc.UnsupportedMedia:   {-32600, "invalid_request", 415, ""},
		rpc.NotAcceptable:      {-32600, "invalid_request", 406, ""},
		rpc.WrongVerb:          {-32600, "invalid_request", 405, ""},
		rpc.NoEndpoint:         {-32600, "invalid_request", 404, ""},
		rpc.Unauthenticated:    {-32000, "unauthenticated", 401, ""},
		rpc.Forbidden:          {-32001, "forbidden", 403, ""},
		rpc.TooManyTries:       {-32002, "rate_limited", 429, "1"},
		rpc.RateLimited:        {-32002, "rate_limited", 429, "1"},
		rpc.QuotaExhausted:     {-32003, "quota_exhausted", 429, "1"},
		rpc.TooManyInFlight:    {-32004, "too_many_in_flight", 429, "1"},
		rpc.JobUnknown:         {-32010, "unknown_job", 404, ""},
		rpc.Conflict:           {-32012, "conflict", 409, ""},
		rpc.Busy:               {-32004, "too_many_in_flight", 429, "1"},
		rpc.Overloaded:         {-32005, "overloaded", 503, "1"},
		rpc.Draining:           {-32005, "overloaded", 503, "1"},
		rpc.AuthDown:           {-32011, "state_unavailable", 503, "1"},
		rpc.StateUnavailable:   {-32011, "state_unavailable", 503, "1"},
		rpc.Cancelled:          {-32009, "cancelled", 499, ""},
		rpc.Stopped:            {-32009, "cancelled", 499, ""},
		rpc.UpstreamDown:       {-32006, "upstream_unavailable", 503, "1"},
		rpc.UpstreamFailed:     {-32007, "upstream_error", 502, ""},
		rpc.UpstreamTimeout:    {-32008, "deadline_exceeded", 504, ""},
	}
	for code := rpc.Internal; code <= rpc.UpstreamTimeout; code++ {
		e := &rpc.Error{Code: code, Message: "why"}
		wire := infer.Failure(e, "r1", "")
		var data struct {
			Reason    string `json:"reason"`
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal(wire.Data, &data); err != nil {
			t.Fatal(err)
		}
		got := row{wire.Code, data.Reason, infer.HTTPStatus(e), infer.Header(e).Get("Retry-After")}
		if got != want[code] || data.RequestID != "r1" || wire.Message != "why" {
			t.Errorf("%s is %+v, want %+v", code, got, want[code])
		}
	}
}

func TestDataOfAFailure(t *testing.T) {
	t.Parallel()
	e := &rpc.Error{
		Code: rpc.QuotaExhausted, Message: "used up", RetryAfter: 1500 * time.Millisecond,
		Data: map[string]any{"limitName": "org-tokens", "scope": "org", "unit": "tokens", "limit": 10.0, "remaining": 0.0, "resetAt": "2026-11-23T00:00:00Z", "reason": "x"},
	}
	want := map[string]any{
		"limit_name": "org-tokens", "scope": "org", "unit": "tokens", "limit": 10.0, "remaining": 0.0, "reset_at": "2026-11-23T00:00:00Z",
		"reason": "quota_exhausted", "request_id": "r2", "model": "llama", "retry_after_ms": 1500.0,
	}
	var got map[string]any
	if err := json.Unmarshal(infer.Failure(e, "r2", "llama").Data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	if after := infer.Header(e).Get("Retry-After"); after != "2" {
		t.Errorf("Retry-After is %s, want whole seconds, rounded up", after)
	}
}
