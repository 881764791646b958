package bridge

import (
	"bytes"
	"encoding/json"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// lags reports whether a client's revision lacks kinds of content, or ways to ask, that
// the upstream's may have.
func lags(c *rpc.Call, reply *rpc.Reply) bool {
	traits, known := mcp.Of(c.Client.Revision)
	return known && !traits.RichAsking && reply.Revision != "" && reply.Revision != c.Client.Revision
}

// older is a reply whose response is put in words of a client of the first revisions.
type older struct {
	*rpc.Reply
	call *rpc.Call
}

// Next implements [rpc.Source].
func (o *older) Next() (*rpc.Message, error) {
	m, err := o.Reply.Next()
	if err == nil && m.IsResponse() {
		m = toOlder(o.call, m)
	}
	return m, err
}

// toOlder puts a response in words that the client's revision has. It may edit m, and returns the message to send.
func toOlder(c *rpc.Call, m *rpc.Message) *rpc.Message {
	traits, known := mcp.Of(c.Client.Revision)
	switch {
	case !known || traits.RichAsking:
	case m.Err != nil && m.Err.Code == mcp.CodeURLElicitation:
		return visitLater(c, m)
	case !traits.Links && m.Err == nil:
		olderContent(traits, c, m)
	}
	return m
}

// olderContent replaces the blocks of a result that a revision does not have by
// text: links to resources, which came with 2025-06-18, and audio, which came with 2025-03-26.
func olderContent(traits *mcp.Traits, c *rpc.Call, m *rpc.Message) {
	switch c.Method.Name {
	case mcp.ToolsCall:
		if text, ok := m.Get("content"); ok {
			if blocks, changed := olderList(text, func(b json.RawMessage) json.RawMessage { return olderBlock(traits, b) }); changed {
				m.Set("content", blocks)
			}
		}
	case mcp.PromptsGet:
		if text, ok := m.Get("messages"); ok {
			if messages, changed := olderList(text, func(b json.RawMessage) json.RawMessage { return olderMessage(traits, b) }); changed {
				m.Set("messages", messages)
			}
		}
	}
}

// olderList maps the elements of an array. Nothing is written anew if none changes.
func olderList(text json.RawMessage, change func(json.RawMessage) json.RawMessage) (json.RawMessage, bool) {
	items, err := rpc.Elements(text)
	if err != nil {
		return nil, false
	}
	out, changed := make([][]byte, len(items)), false
	for i, item := range items {
		out[i] = item
		if other := change(item); other != nil {
			out[i], changed = other, true
		}
	}
	if !changed {
		return nil, false
	}
	return append(append([]byte{'['}, bytes.Join(out, []byte{','})...), ']'), true
}

func olderMessage(traits *mcp.Traits, text json.RawMessage) json.RawMessage {
	o, err := rpc.ReadObject(text)
	if err != nil {
		return nil
	}
	content, _ := o.Get("content")
	if block := olderBlock(traits, content); block != nil {
		return o.With("content", block)
	}
	return nil
}

// olderBlock returns the text block that stands for a block, or nil if the client
// knows its kind.
func olderBlock(traits *mcp.Traits, text json.RawMessage) json.RawMessage {
	o, err := rpc.ReadObject(text)
	if err != nil {
		return nil
	}
	say := func(words string) json.RawMessage {
		return append(rpc.AppendString([]byte(`{"type":"text","text":`), words), '}')
	}
	switch kind, _ := o.Text("type"); {
	case kind == "resource_link":
		uri, _ := o.Text("uri")
		name, _ := o.Text("name")
		if name == "" {
			return say("Resource: " + uri)
		}
		return say("Resource " + name + ": " + uri)
	case kind == "audio" && !traits.Audio:
		format, _ := o.Text("mimeType")
		return say("Audio (" + format + "), which this client's protocol revision cannot carry.")
	}
	return nil
}
