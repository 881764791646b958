package mcpserver

import (
	"context"
	"errors"
	"fmt"

	"github.com/headgate/headgate/rpc"
)

// fault makes errors that name the upstream and tell the client what went wrong
// there, without addresses and secrets.
type fault struct{ upstream string }

func (f fault) make(code rpc.Code, cause error, format string, args ...any) *rpc.Error {
	return &rpc.Error{
		Code: code, Upstream: f.upstream, Cause: cause,
		Message: fmt.Sprintf("upstream %q ", f.upstream) + fmt.Sprintf(format, args...),
	}
}

// down is the error for an upstream that cannot be reached or ended in mid-call.
func (f fault) down(cause error, format string, args ...any) *rpc.Error {
	return f.make(rpc.UpstreamDown, cause, format, args...)
}

// failed is the error for an upstream that answered what is no answer.
func (f fault) failed(cause error, format string, args ...any) *rpc.Error {
	return f.make(rpc.UpstreamFailed, cause, format, args...)
}

// timedOut is the error for an upstream that said nothing for too long.
func (f fault) timedOut(cause error, format string, args ...any) *rpc.Error {
	return f.make(rpc.UpstreamTimeout, cause, format, args...)
}

// late puts a handshake that took too long into words.
func (f fault) late(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
		return f.timedOut(err, "did not finish its handshake in time")
	}
	return err
}

// stale says that a link had ended before the call reached the server: the call
// certainly did not run, so it can be made again on a new link.
type stale struct {
	cause *rpc.Error // what the client gets if that does not help
	era   bool       // the server does not speak the era it was thought to speak
}

// Error implements error.
func (s *stale) Error() string { return "stale link: " + s.cause.Error() }

// Unwrap returns what the client gets.
func (s *stale) Unwrap() error { return s.cause }

// notRun marks the error of a call that has not reached the server. The error itself stays, as others may share it.
func notRun(err error) error {
	if old, ok := errors.AsType[*stale](err); ok {
		return &stale{cause: marked(old.cause), era: old.era}
	}
	if e, ok := errors.AsType[*rpc.Error](err); ok {
		return marked(e)
	}
	return err
}

func marked(e *rpc.Error) *rpc.Error {
	out := *e
	out.NotRun = true
	return &out
}
