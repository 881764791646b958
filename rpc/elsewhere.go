package rpc

import (
	"context"
	"errors"
	"net/http"
)

// Open makes a call and waits for the first message of its reply, which the reply that it returns gives once more: until then nothing was
// said to the client, and the call can be made elsewhere. An error is that of the call or of its reply, which then is closed.
func Open(ctx context.Context, h Handler, c *Call) (*Reply, *Message, error) {
	reply, err := h.Handle(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	first, err := reply.Next()
	if err != nil {
		_ = reply.Close() // the error that counts is known
		return nil, nil, err
	}
	out := NewReply(&begun{Reply: reply, first: first})
	out.Header, out.Revision = reply.Header, reply.Revision
	return out, first, nil
}

// begun is a reply whose first message has been looked at.
type begun struct {
	*Reply
	first *Message
}

// Next implements [Source].
func (b *begun) Next() (*Message, error) {
	if m := b.first; m != nil {
		b.first = nil
		return m, nil
	}
	return b.Reply.Next()
}

// Unusable reports whether an error says that who was asked cannot be used at the moment, so that it is of use to ask another one.
func Unusable(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch e.Code {
	case UpstreamDown, UpstreamTimeout, Busy, Overloaded:
		return true
	case UpstreamFailed: // it, or a proxy before it, says so itself (RFC 9110 §15.6)
		var answer interface{ HTTPStatus() int }
		if !errors.As(err, &answer) {
			return false
		}
		switch answer.HTTPStatus() {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
	}
	return false
}
