package bridge

import (
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// toInputRequest returns a legacy server's question as a member of inputRequests. It
// returns false if the client did not declare that it can be asked this.
func toInputRequest(client rpc.Client, q *rpc.Message) ([]byte, bool) {
	can := mcp.AskingOf(client.Capabilities)
	allowed := false
	switch q.Method {
	case mcp.RootsList:
		allowed = can.Roots
	case mcp.SamplingCreate:
		_, tools := q.Get("tools")
		allowed = can.Sampling && (can.SamplingTools || !tools)
	case mcp.ElicitationCreate:
		mode, _ := q.Text("mode")
		allowed = mode == "url" && can.URL || mode != "url" && can.Form
	}
	if !allowed {
		return nil, false
	}
	params := q.Params
	for _, name := range []string{"elicitationId", "task"} { // 2025-11-25 only
		if _, ok := q.Get(name); ok {
			params = drop(params, name)
		}
	}
	out := append(rpc.AppendString([]byte(`{"method":`), q.Method), `,"params":`...)
	if params == nil {
		params = []byte("{}")
	}
	return append(append(out, params...), '}'), true
}

// giveUpOn answers a question whose client did not come back.
func giveUpOn(id rpc.ID, method string) *rpc.Message {
	switch method {
	case mcp.ElicitationCreate:
		return rpc.NewResult(id, []byte(`{"action":"cancel"}`))
	case mcp.SamplingCreate:
		return rpc.NewError(id, &rpc.WireError{Code: -1, Message: "the client did not answer"})
	}
	return rpc.NewError(id, &rpc.WireError{Code: mcp.CodeInternal, Message: "the client did not answer"})
}

// needs builds the response that says that input is required.
func needs(id rpc.ID, requests []answer, state []byte) *rpc.Message {
	out := []byte(`{"resultType":"input_required"`)
	if len(requests) > 0 {
		out = append(append(out, `,"inputRequests":`...), object(requests)...)
	}
	return rpc.NewResult(id, append(append(append(out, `,"requestState":`...), state...), '}'))
}

// expired answers for a call that is not parked here any more. What it did is not
// known, so it is not made again.
func expired(c *rpc.Call) *rpc.Message {
	const text = "The interaction has expired; call again without requestState."
	if c.Method.Name == mcp.ToolsCall {
		return toolFailure(c.Message.ID, text, `,"resultType":"complete"`)
	}
	return rpc.NewError(c.Message.ID, &rpc.WireError{Code: mcp.CodeInternal, Message: text})
}
