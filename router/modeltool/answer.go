package modeltool

import (
	"strconv"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/rpc/mcp"
)

// answer is the reply of a model as that of its tool: what it says whole is the result, and what it says in parts is progress, too.
type answer struct {
	*rpc.Reply // of what the model says, put together
	id         rpc.ID
}

// newAnswer returns the reply of a model's tool. The token is the client's for progress; nil for none.
func newAnswer(reply *rpc.Reply, id rpc.ID, model string, token []byte, most int) *rpc.Reply {
	header := reply.Header
	if token != nil {
		reply = rpc.NewReply(&telling{Reply: reply, token: token})
	}
	out := rpc.NewReply(&answer{infer.Collect(reply, model, most), id})
	out.Header, out.Revision = header, mcp.LatestModern
	return out
}

// Next implements [rpc.Source].
func (a *answer) Next() (*rpc.Message, error) {
	m, err := a.Reply.Next()
	if err == nil && m.IsResponse() {
		m = a.response(m)
	}
	return m, err
}

// response makes the result of the tool of the model's: its text, and all of it as structured content.
func (a *answer) response(m *rpc.Message) *rpc.Message {
	if m.Err != nil {
		return rpc.NewError(a.id, &rpc.WireError{Code: mcp.CodeInternal, Message: "the model answered an error: " + rpc.Excerpt(m.Err.Message)})
	}
	result := m.AppendResult(nil)
	said, ok := m.Text("output")
	if !ok {
		said = string(result) // something else than text
	}
	out := rpc.AppendString([]byte(`{"resultType":"complete","content":[{"type":"text","text":`), said)
	out = append(append(out, `}],"structuredContent":`...), result...)
	return rpc.NewResult(a.id, append(out, '}'))
}

// telling is the reply of a model that lets progress follow each part of what it says.
type telling struct {
	*rpc.Reply
	token []byte
	parts int64
	next  *rpc.Message // what follows the part that was returned last; nil for nothing
}

// Next implements [rpc.Source].
func (t *telling) Next() (*rpc.Message, error) {
	if m := t.next; m != nil {
		t.next = nil
		return m, nil
	}
	m, err := t.Reply.Next()
	if err == nil && m.Method == infer.Chunk {
		t.next = t.progress(m)
	}
	return m, err
}

// progress returns a part as progress, whose message is its text (MCP 2025-11-25, Progress); nil for a part that has none, or
// belongs to a further answer.
func (t *telling) progress(m *rpc.Message) *rpc.Message {
	text, ok := m.Text("text")
	if index, further := m.Get("index"); !ok || text == "" || further && string(index) != "0" {
		return nil
	}
	t.parts++
	params := append([]byte(`{"progressToken":`), t.token...)
	params = strconv.AppendInt(append(params, `,"progress":`...), t.parts, 10)
	return rpc.NewNotification(mcp.Progress, append(rpc.AppendString(append(params, `,"message":`...), text), '}'))
}
