package edge

import (
	"encoding/json"

	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// maxBatch bounds the messages of one batch.
const maxBatch = 50

// elements returns the messages of an array, which one revision has (MCP 2025-03-26,
// Base Protocol; JSON-RPC 2.0, section 6). To sessions of any other one, and where
// there is none, it is the refusal.
func elements(s *session.Session, body []byte, refusal error) ([]json.RawMessage, error) {
	if s == nil {
		return nil, refusal
	}
	if t, ok := mcp.Of(s.Client().Revision); !ok || !t.Batches {
		return nil, refusal
	}
	items, err := rpc.Elements(body)
	switch {
	case err != nil:
		return nil, rpc.Errorf(rpc.ParseError, "batch refused: %w", err)
	case len(items) == 0:
		return nil, rpc.Errorf(rpc.InvalidRequest, "batch refused: it is empty")
	case len(items) > maxBatch:
		return nil, rpc.Errorf(rpc.InvalidRequest, "batch refused: %d messages are more than %d", len(items), maxBatch)
	}
	return items, nil
}

// element reads one message of an array. The message is never nil.
func (e *Edge) element(text []byte) (*rpc.Message, error) {
	m, err := rpc.Parse(text, rpc.Limits{Depth: e.cfg().Depth})
	switch {
	case err != nil:
		// JSON it is, or its array would be none.
		return m, &rpc.Error{Code: rpc.InvalidRequest, Message: failure(err).Message, Cause: err}
	case m.IsRequest() && m.Method == mcp.Initialize:
		return m, rpc.Errorf(rpc.InvalidRequest, "initialize must not be part of a batch")
	}
	return m, nil
}

// array is messages that are sent as one text.
type array []*rpc.Message

// AppendTo appends the text of the messages as one JSON array.
func (a array) AppendTo(out []byte) []byte {
	out = append(out, '[')
	for i, m := range a {
		if i > 0 {
			out = append(out, ',')
		}
		out = m.AppendTo(out)
	}
	return append(out, ']')
}

// Size returns how long the text will be.
func (a array) Size() int {
	size := len("[]") + len(a)
	for _, m := range a {
		size += m.Size()
	}
	return size
}
