package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// failure says in a user's words why the gateway gave no response at all.
func (r *remote) failure(err error) error {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return err
	}
	f := &failure{
		exit: exitUnexpected, Code: e.Code.String(),
		Message: fmt.Sprintf("%s %s", r.url, strings.TrimPrefix(e.Message, fmt.Sprintf("upstream %q ", remoteName))),
	}
	if answer, ok := errors.AsType[interface {
		error
		HTTPStatus() int
		Body() string
	}](e.Cause); ok {
		if m, err := rpc.Parse([]byte(answer.Body()), rpc.Limits{}); err == nil && m.Err != nil {
			f = refusal(m.Err)
			f.Status = answer.HTTPStatus()
			return f
		}
		return f.answered(answer.HTTPStatus())
	}
	switch e.Code {
	case rpc.UpstreamDown:
		f.exit, f.Code = exitUnreachable, "unreachable"
		f.Hint = r.startHint()
	case rpc.UpstreamTimeout:
		f.exit, f.Code = exitUnreachable, "timeout"
		f.Hint = fmt.Sprintf("--timeout is %s", r.timeout)
	case rpc.UpstreamFailed:
		f.Code, f.Hint = "no_mcp_server", notEndpoint
	}
	return f
}

// answered adds what an HTTP status means where no MCP message came with it.
func (f *failure) answered(status int) *failure {
	f.Status = status
	f.Message, _, _ = strings.Cut(f.Message, ": it does not accept") // credentials come from no configuration here
	switch {
	case status == http.StatusUnauthorized:
		f.exit, f.Code, f.Hint = exitAuth, "auth_required", tokenHint
	case status == http.StatusForbidden, status == http.StatusTooManyRequests:
		f.exit, f.Code = exitRefused, "refused"
	case status >= http.StatusInternalServerError:
		f.exit, f.Code = exitUnreachable, "unreachable"
	default:
		f.Code, f.Hint = "no_mcp_server", notEndpoint
	}
	return f
}

// tokenHint is the advice where a credential is missing or not good.
const tokenHint = "export HEADGATE_TOKEN=… with an API key or a token that is good there"

// notEndpoint is the advice for an address where something else than MCP answers.
const notEndpoint = "is this the address of an MCP endpoint? A gateway's is http://HOST:PORT/mcp"

func (r *remote) startHint() string {
	if strings.Contains(r.url, config.Default().Listen) {
		return "start it with: " + invocation() + " serve --demo"
	}
	return "is it running, and is --url (or HEADGATE_URL) right?"
}

// refusal says in a user's words what an error response means.
func refusal(e *rpc.WireError) *failure {
	f := &failure{exit: exitUnexpected, Code: "error", Message: e.Message}
	if data, err := rpc.ReadObject(e.Data); err == nil {
		f.Upstream, _ = data.Text("upstream")
		if reason, ok := data.Text("reason"); ok {
			f.Code = reason
		}
	}
	switch e.Code {
	case mcp.CodeUpstreamDown, mcp.CodeUpstreamTimeout:
		f.exit, f.Hint = exitUnreachable, invocation()+" doctor tells how the upstreams are"
	case mcp.CodeBusy, mcp.CodeOverloaded, mcp.CodeDraining, mcp.CodeRateLimited, mcp.CodeTooManyInFlight, mcp.CodeStateUnavailable, mcp.CodeTooManyTries:
		f.exit, f.Hint = exitRefused, "try again later"
	case mcp.CodeForbidden, mcp.CodeQuotaExhausted:
		f.exit, f.Hint = exitRefused, invocation()+" explain, on the gateway's machine, tells why"
	case mcp.CodeUnauthenticated:
		f.exit, f.Code, f.Hint = exitAuth, "auth_required", tokenHint
	case mcp.CodeInvalidParams:
		f.Code = "invalid_params"
	case mcp.CodeMethodNotFound:
		f.Code = "method_not_found"
	default:
		if f.Code == "error" {
			f.Message = fmt.Sprintf("error %d: %s", e.Code, e.Message)
		}
	}
	return f
}
