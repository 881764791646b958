package upstream

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrNotSent matches errors of requests of which not one byte was accepted by a connection: they certainly did
	// not run and may be sent again, elsewhere too. Any other error of an exchange leaves that open.
	ErrNotSent = errors.New("request was not sent")
	// ErrMalformed matches errors of answers that are not HTTP/1.1 as this client understands it.
	ErrMalformed = errors.New("malformed HTTP response")
	// ErrTooLarge matches errors of answers above a size limit, of the header or of the body.
	ErrTooLarge = errors.New("response exceeds the size limit")

	errClosed = errors.New("response was closed")
)

// ExchangeError says at which step an exchange with an upstream failed.
type ExchangeError struct {
	// Op is the step: "request", "dial", "tls", "send", "read header" or "read body".
	Op string
	// Host is the host:port that was talked to.
	Host string
	// Sent says that at least a part of the request left this process, so that it may have run.
	Sent bool
	// Err is the reason. If the call's context ended, it wraps both the context's error and its cause.
	Err error
}

// Error names the host, the step and the reason. It is for logs: clients of the gateway are not told where upstreams are.
func (e *ExchangeError) Error() string { return e.Host + ": " + e.Op + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *ExchangeError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrNotSent) tell whether the request certainly did not run.
func (e *ExchangeError) Is(target error) bool { return target == ErrNotSent && !e.Sent }

// reason returns why the context ended, if it did, and err otherwise: a connection that was closed by a cancel only
// reports that it is closed.
func reason(ctx context.Context, err error) error {
	ended := ctx.Err()
	if ended == nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, ended) {
		return fmt.Errorf("%w: %w", ended, cause)
	}
	return ended
}
