package mcpserver

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// sessionDoubt is what an answer makes of the session that the request was sent in.
type sessionDoubt uint8

const (
	noDoubt     sessionDoubt = iota // the answer is about the request
	suspect                         // it speaks of the session, in a way that also fits the request
	sessionGone                     // the session has ended, and the request did not run
)

// judgeSession reads an answer for what it says of the session. The specification has 404 for one that has
// ended (MCP 2025-11-25, Streamable HTTP, Session Management), some servers 400, and sloppy ones
// whatever their framework makes of it. An error about the request itself is no word about the session.
func judgeSession(status int, body []byte, m *rpc.Message) sessionDoubt {
	code := int64(0)
	if m != nil && m.Err != nil {
		code = m.Err.Code
	}
	if code == mcp.CodeMethodNotFound || code == mcp.CodeInvalidParams {
		return noDoubt
	}
	text := strings.ToLower(string(body[:min(len(body), 1024)]))
	speaks := strings.Contains(text, "session") || strings.Contains(text, "not initialized")
	switch {
	case status == http.StatusNotFound, status == http.StatusBadRequest && speaks:
		return sessionGone
	case !speaks:
		return noDoubt
	case status == http.StatusUnauthorized, status >= 500:
		return suspect
	case code == mcp.CodeInvalidRequest, code <= -32000 && code >= -32019:
		return suspect
	}
	return noDoubt
}

// lost implements [carrier]. A server whose words can be meant of the session or of something
// that its tools call one is asked by a ping in that session. If the session is gone the next call opens
// another; this one is made again only if the answer shows that it was not begun, or if
// making it twice does no harm.
func (l *legacyHTTP) lost(k *httpCall, body []byte, m *rpc.Message) bool {
	if l.session == "" || k.x.own {
		return false
	}
	doubt := judgeSession(k.resp.Status, body, m)
	if doubt == noDoubt || doubt == suspect && l.alive() && l.knowsSession(k.ctx) {
		return false
	}
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	unbegun := doubt == sessionGone || k.resp.Status == http.StatusUnauthorized || m != nil && m.ID.IsZero()
	return !k.x.final && (unbegun || k.x.call.Method.Idempotent)
}

// knowsSession asks the server whether the session exists. One that cannot be reached has not
// denied it.
func (l *legacyHTTP) knowsSession(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, respondTimeout)
	defer cancel()
	m, err := ask(ctx, l, rpc.NewRequest(rpc.NumberID(0), mcp.Ping, nil))
	if err != nil {
		_, refused := errors.AsType[*statusError](err)
		return !refused
	}
	return m.Err == nil || m.Err.Code == mcp.CodeMethodNotFound
}
