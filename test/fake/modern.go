package fake

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/headgate/headgate/test/fake/rawjson"
)

// postModern serves one message of the modern era: no session, everything said by the message and its headers.
func (s *Server) postModern(out *output, r *http.Request, m *message) {
	if !m.request() {
		out.accept() // MCP 2026-07-28 defines no client notification over HTTP; some clients send cancelled
		return
	}
	failure := s.checkMeta(m)
	if failure == nil {
		failure = checkRoutingHeaders(r.Header, m)
	}
	if failure != nil {
		out.fail(m.id, failure)
		return
	}
	c := newCall(m, Modern)
	c.Header = r.Header
	s.call(r.Context(), out, c)
}

// checkRoutingHeaders compares the header fields that repeat the body with the body (SEP-2243).
func checkRoutingHeaders(header http.Header, m *message) *Error {
	switch {
	case header.Get("Mcp-Protocol-Version") != m.revision:
		return mismatch("MCP-Protocol-Version")
	case header.Get("Mcp-Method") != m.method:
		return mismatch("Mcp-Method")
	}
	member := nameMember(m.method)
	if member == "" {
		return nil
	}
	name, ok := decodeHeader(header.Get("Mcp-Name"))
	if !ok || name != unquote(rawjson.Member(m.params, member)) {
		return mismatch("Mcp-Name")
	}
	return nil
}

// nameMember returns the member of params that Mcp-Name repeats for a method, or nothing.
func nameMember(method string) string {
	switch method {
	case "tools/call", "prompts/get":
		return "name"
	case "resources/read":
		return "uri"
	case "tasks/get", "tasks/update", "tasks/cancel":
		return "taskId"
	default:
		return ""
	}
}

// decodeHeader resolves the encoding that header values use for what is not plain ASCII (SEP-2243).
func decodeHeader(value string) (string, bool) {
	encoded, ok := strings.CutPrefix(value, "=?base64?")
	if !ok {
		return value, true
	}
	encoded, ok = strings.CutSuffix(encoded, "?=")
	if !ok {
		return "", false
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	return string(text), err == nil
}

func mismatch(field string) *Error {
	return &Error{Code: codeHeaderMismatch, Message: "header " + field + " does not match the body", Status: http.StatusBadRequest}
}
