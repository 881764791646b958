package mcp_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestCorner5_24_Status(t *testing.T) {
	t.Parallel()
	type row struct {
		code           int64
		legacy, modern int
	}
	want := map[rpc.Code]row{
		rpc.Internal:           {-32603, 200, 200},
		rpc.ParseError:         {-32700, 400, 400},
		rpc.InvalidRequest:     {-32600, 400, 400},
		rpc.MethodNotFound:     {-32601, 200, 404},
		rpc.InvalidParams:      {-32602, 200, 200},
		rpc.HeaderMismatch:     {-32020, 400, 400},
		rpc.MissingCapability:  {-32021, 400, 400},
		rpc.UnsupportedVersion: {-32022, 400, 400},
		rpc.OriginRefused:      {-32600, 403, 403},
		rpc.SessionRequired:    {-32600, 400, 400},
		rpc.SessionUnknown:     {-32600, 404, 404},
		rpc.TooLarge:           {107, 413, 413},
		rpc.UnsupportedMedia:   {-32600, 415, 415},
		rpc.NotAcceptable:      {-32600, 406, 406},
		rpc.WrongVerb:          {-32600, 405, 405},
		rpc.NoEndpoint:         {-32600, 404, 404},
		rpc.Unauthenticated:    {108, 401, 401},
		rpc.Forbidden:          {109, 403, 403},
		rpc.TooManyTries:       {110, 429, 429},
		rpc.AuthDown:           {111, 503, 503},
		rpc.RateLimited:        {112, 429, 429},
		rpc.QuotaExhausted:     {113, 429, 429},
		rpc.TooManyInFlight:    {114, 429, 429},
		rpc.StateUnavailable:   {115, 503, 503},
		rpc.JobUnknown:         {118, 404, 404},
		rpc.Conflict:           {119, 409, 409},
		rpc.Busy:               {104, 429, 429},
		rpc.Overloaded:         {116, 503, 503},
		rpc.Draining:           {105, 503, 503},
		rpc.Cancelled:          {106, 200, 200},
		rpc.Stopped:            {117, 200, 200},
		rpc.UpstreamDown:       {101, 200, 200},
		rpc.UpstreamFailed:     {102, 200, 200},
		rpc.UpstreamTimeout:    {103, 200, 200},
	}
	for code := rpc.Internal; code <= rpc.UpstreamTimeout; code++ {
		e := &rpc.Error{Code: code, Message: "why"}
		got := row{mcp.Failure(e).Code, mcp.Status(e, rpc.Legacy), mcp.Status(e, rpc.Modern)}
		if got != want[code] {
			t.Errorf("%s is %+v, want %+v", code, got, want[code])
		}
		// -32020 to -32099 belong to the specification, -32000 to -32019 mean nothing.
		if c := got.code; -32099 <= c && c <= -32000 && c != -32020 && c != -32021 && c != -32022 {
			t.Errorf("%s has the reserved code %d", code, c)
		}
	}
	if mcp.Status(nil, rpc.Legacy) != 200 || mcp.Status(nil, rpc.Modern) != 200 {
		t.Error("a success is not 200")
	}
}

func TestStatusOfResponses(t *testing.T) {
	t.Parallel()
	result := rpc.NewResult(rpc.NumberID(1), []byte(`{"isError":true}`))
	if mcp.StatusOf(result, rpc.Modern) != 200 || mcp.StatusOf(result, rpc.Legacy) != 200 {
		t.Error("a result is not 200")
	}
	for code, modern := range map[int64]int{
		-32020: 400, -32021: 400, -32022: 400, -32601: 404, -32602: 200, -32603: 200, -32600: 200, -32700: 200, -32002: 200, 0: 200, 42: 200,
	} {
		m := rpc.NewError(rpc.NumberID(1), &rpc.WireError{Code: code})
		if got := mcp.StatusOf(m, rpc.Modern); got != modern {
			t.Errorf("%d to a modern client is %d, want %d", code, got, modern)
		}
		if got := mcp.StatusOf(m, rpc.Legacy); got != 200 {
			t.Errorf("%d to a legacy client is %d: it would take its session for ended", code, got)
		}
	}
}

func TestCorner5_24_Failure(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  *rpc.Error
		data string
	}{
		"standard code":  {&rpc.Error{Code: rpc.InvalidParams, Message: "why"}, ``},
		"own code":       {&rpc.Error{Code: rpc.Busy, Message: "why"}, `{"reason":"busy","retryable":true}`},
		"upstream":       {&rpc.Error{Code: rpc.UpstreamDown, Message: "why", Upstream: "github"}, `{"reason":"upstream_down","retryable":false,"upstream":"github"}`},
		"not run":        {&rpc.Error{Code: rpc.UpstreamDown, Message: "why", NotRun: true}, `{"reason":"upstream_down","retryable":true}`},
		"late, not run":  {&rpc.Error{Code: rpc.UpstreamTimeout, Message: "why", NotRun: true}, `{"reason":"upstream_timeout","retryable":true}`},
		"late":           {&rpc.Error{Code: rpc.UpstreamTimeout, Message: "why"}, `{"reason":"upstream_timeout","retryable":false}`},
		"cancelled":      {&rpc.Error{Code: rpc.Cancelled, Message: "why", NotRun: true}, `{"reason":"cancelled","retryable":false}`},
		"failed":         {&rpc.Error{Code: rpc.UpstreamFailed, Message: "why", NotRun: true}, `{"reason":"upstream_failed","retryable":false}`},
		"retry":          {&rpc.Error{Code: rpc.Draining, Message: "why", RetryAfter: 1500 * time.Millisecond}, `{"reason":"draining","retryAfterMs":1500,"retryable":true}`},
		"data":           {&rpc.Error{Code: rpc.InvalidParams, Message: "why", Data: map[string]any{"uri": "x"}}, `{"uri":"x"}`},
		"not encodable":  {&rpc.Error{Code: rpc.InvalidParams, Message: "why", Data: map[string]any{"f": func() {}}}, ``},
		"other data":     {&rpc.Error{Code: rpc.InvalidParams, Message: "why", Data: 7}, ``},
		"cause is quiet": {&rpc.Error{Code: rpc.Internal, Message: "why", Cause: errors.New("secret")}, ``},
	} {
		got := mcp.Failure(tt.err)
		if got.Message != "why" || string(got.Data) != tt.data {
			t.Errorf("%s: %q with data %s, want %s", name, got.Message, got.Data, tt.data)
		}
	}
	own := map[string]any{"a": 1}
	mcp.Failure(&rpc.Error{Code: rpc.Busy, Data: own})
	if diff := cmp.Diff(map[string]any{"a": 1}, own); diff != "" {
		t.Errorf("the error's own data was changed:\n%s", diff)
	}
}

func TestUnsupported(t *testing.T) {
	t.Parallel()
	e := mcp.Unsupported("1900-01-01\n")
	const want = `{"requested":"1900-01-01\n","supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"]}`
	if got := mcp.Failure(e); got.Code != -32022 || string(got.Data) != want {
		t.Errorf("%d with data %s, want %s", got.Code, got.Data, want)
	}
}
