package mcpserver

import (
	"encoding/json"
	"errors"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// maxBatch bounds the messages of one array.
const maxBatch = 100

// batch returns the messages of an array that a server sent, which one revision lets it do (MCP 2025-03-26, Base
// Protocol, Batching: implementations must support receiving them). It returns nil for what is none: a batch is one of
// objects, and what could not be parsed for another reason than that it is an array was no batch.
func (h *hop) batch(text []byte, why error) []json.RawMessage {
	if why == nil || !errors.Is(why, rpc.ErrBatch) {
		return nil
	}
	if traits, known := mcp.Of(h.revision); !known || !traits.Batches {
		return nil
	}
	items, err := rpc.Elements(text)
	if err != nil || len(items) > maxBatch {
		return nil
	}
	for _, item := range items {
		if item[0] != '{' {
			return nil
		}
	}
	return items
}

// unpacking is a batch that is being read.
type unpacking struct {
	rest  []json.RawMessage
	whole bool // nothing follows it
}

// unpack begins with a batch in the call's own answer, if that is what could not be parsed. It is not empty.
func (k *httpCall) unpack(text []byte, why error, whole bool) bool {
	items := k.x.hop.batch(text, why)
	if items == nil {
		return false
	}
	k.batch = &unpacking{items, whole}
	return true
}

// unpacked returns the next message of the batch.
func (k *httpCall) unpacked() (*rpc.Message, error) {
	m, err := rpc.Parse(k.batch.rest[0], upstreamLimits)
	k.batch.rest = k.batch.rest[1:]
	if err != nil {
		return nil, k.d.s.fault.failed(err, "gave an answer that is no message")
	}
	return m, nil
}
