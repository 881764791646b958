package fake

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/headgate/headgate/test/fake/rawjson"
)

// newCall returns the call of a request.
func newCall(m *message, era Era) *Call {
	c := &Call{Era: era, ID: m.id, Method: m.method, Params: m.params, Meta: m.meta}
	if m.params == nil {
		return c
	}
	_ = rawjson.Object(m.params, func(name, value []byte) bool { // params that are no object have no members
		switch string(name) {
		case "name":
			c.Name = unquote(value)
		case "arguments":
			c.Arguments = value
		}
		return true
	})
	return c
}

// answer appends the answer to a call to dst. It returns nothing when the call was cancelled: nobody waits for it, and
// MCP says to send none. The failure, if any, is returned too because it decides the HTTP status.
func (s *Server) answer(ctx context.Context, c *Call, dst []byte) ([]byte, *Error) {
	row, ok := lookup(c.Method, c.Era)
	if !ok {
		failure := &Error{Code: codeUnknownMethod, Message: fmt.Sprintf("unknown method %q", c.Method)}
		return appendError(dst, c.ID, failure), failure
	}
	result, err := row.serve(s, ctx, c)
	if err == nil {
		return appendResult(dst, c.ID, result), nil
	}
	if ctx.Err() != nil {
		return nil, nil
	}
	failure, ok := errors.AsType[*Error](err)
	if !ok {
		failure = &Error{Code: codeInternal, Message: err.Error()}
	}
	return appendError(dst, c.ID, failure), failure
}

// modern says whether a message that names these revisions is served in the modern era. A server of one era has no
// choice: a legacy one treats a modern request as the malformed request it is to it, as real ones do.
func (s *Server) modern(revisions ...string) bool {
	switch s.config.Eras {
	case Legacy:
		return false
	case Modern:
		return true
	default:
		return slices.ContainsFunc(revisions, func(revision string) bool { return revision >= modernRevision })
	}
}

// checkMeta checks what every modern request carries in params._meta (MCP 2026-07-28, SEP-2575).
func (s *Server) checkMeta(m *message) *Error {
	switch {
	case m.method == "initialize": // from a legacy client: say which revisions there are
		return s.unsupported(unquote(rawjson.Member(m.params, "protocolVersion")))
	case m.revision == "" || rawjson.Member(m.meta, metaCapabilities) == nil:
		return &Error{Code: codeInvalidParams, Message: "params._meta lacks " + metaRevision + " or " + metaCapabilities, Status: 400}
	case m.revision != modernRevision:
		return s.unsupported(m.revision)
	default:
		return nil
	}
}

// unsupported is the error for a revision that the server does not speak.
func (s *Server) unsupported(revision string) *Error {
	return &Error{
		Code: codeUnknownRevision, Message: "unsupported protocol version", Status: 400,
		Data: fmt.Appendf(nil, `{"supported":%s,"requested":%s}`, s.supported(), quote(revision)),
	}
}
