package fake

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/headgate/headgate/test/fake/rawjson"
)

// The protocol's error codes that the server sends (JSON-RPC 2.0 §5.1, MCP 2026-07-28).
const (
	codeParse           = -32700
	codeInvalidRequest  = -32600
	codeUnknownMethod   = -32601
	codeInvalidParams   = -32602
	codeInternal        = -32603
	codeHeaderMismatch  = -32020
	codeUnknownRevision = -32022
)

// The revisions the server speaks, newest first in each era.
const (
	modernRevision = "2026-07-28"
	newestLegacy   = "2025-11-25"
)

const (
	metaRevision     = "io.modelcontextprotocol/protocolVersion"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
)

// message is one JSON-RPC message as ranges of what was received.
type message struct {
	id, params, meta []byte
	result           []byte // of an answer to a question of ours
	method           string
	revision         string // of params._meta, empty for legacy messages
}

// request says whether an answer is due.
func (m *message) request() bool { return m.id != nil && m.method != "" }

// parse reads body, which must stay unchanged as long as the message is used.
func (s *Server) parse(body []byte) (message, *Error) {
	var m message
	if !s.config.SkipValidation && (!utf8.Valid(body) || !json.Valid(body)) {
		return m, &Error{Code: codeParse, Message: "the body is not JSON", Status: 400}
	}
	var version string
	err := rawjson.Object(body, func(name, value []byte) bool {
		switch string(name) {
		case "jsonrpc":
			version = string(value)
		case "id":
			m.id = value
		case "method":
			m.method = unquote(value)
		case "result":
			m.result = value
		case "params":
			m.params = value
		}
		return true
	})
	if err != nil || version != `"2.0"` || string(m.id) == "null" {
		return m, &Error{Code: codeInvalidRequest, Message: "the body is not one JSON-RPC 2.0 message", Status: 400}
	}
	if m.params != nil {
		m.meta = rawjson.Member(m.params, "_meta")
	}
	if m.meta != nil {
		m.revision = unquote(rawjson.Member(m.meta, metaRevision))
	}
	return m, nil
}

// unquote returns the text of a JSON string, or nothing when value is none.
func unquote(value []byte) string {
	text, err := rawjson.Text(value)
	if err != nil {
		return ""
	}
	return text
}

// progressToken returns params._meta.progressToken as it was received, or nil.
func (c *Call) progressToken() []byte {
	if c.Meta == nil {
		return nil
	}
	return rawjson.Member(c.Meta, "progressToken")
}

// notification returns the bytes of a notification.
func notification(method string, params []byte) []byte {
	text := append([]byte(`{"jsonrpc":"2.0","method":`), quote(method)...)
	if params != nil {
		text = append(append(text, `,"params":`...), params...)
	}
	return append(text, '}')
}

// appendResult appends the answer with this result to dst.
func appendResult(dst, id, result []byte) []byte {
	dst = append(append(dst, `{"jsonrpc":"2.0","id":`...), id...)
	dst = append(append(dst, `,"result":`...), result...)
	return append(dst, '}')
}

// appendError appends the answer with this error to dst. An answer to what had no readable id carries none.
func appendError(dst, id []byte, failure *Error) []byte {
	dst = append(dst, `{"jsonrpc":"2.0",`...)
	if id != nil {
		dst = append(append(append(dst, `"id":`...), id...), ',')
	}
	body, err := json.Marshal(struct {
		Code    int             `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data,omitempty"`
	}{failure.Code, failure.Message, failure.Data})
	if err != nil { // only Data can be the reason, and it is the test's own
		body = []byte(`{"code":-32603,"message":"the test's error data is not JSON"}`)
	}
	return append(append(append(dst, `"error":`...), body...), '}')
}
