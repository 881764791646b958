package bridge

import (
	"encoding/json"
	"errors"

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

// visits reads the pages that a legacy server wants to be visited, as input requests
// with the ids that it gave them as keys.
func visits(data []byte) ([]answer, error) {
	wrong := errors.New("it wants pages to be visited and does not say which")
	o, err := rpc.ReadObject(data)
	if err != nil {
		return nil, wrong
	}
	list, _ := o.Get("elicitations")
	items, err := rpc.Elements(list)
	if err != nil || len(items) == 0 || len(items) > maxQuestions {
		return nil, wrong
	}
	seen := map[string]bool{}
	var out []answer
	for _, item := range items {
		page, err := rpc.ReadObject(item)
		if err != nil {
			return nil, wrong
		}
		id, ok := page.Text("elicitationId")
		if !ok || seen[id] {
			return nil, wrong
		}
		seen[id] = true
		params := put(drop(item, "elicitationId"), "mode", []byte(`"url"`))
		out = append(out, answer{id, append(append([]byte(`{"method":"elicitation/create","params":`), params...), '}')})
	}
	return out, nil
}

// consented reports whether the user agreed to visit the pages.
func consented(m *rpc.Message) bool {
	text, _ := m.Get(inputResponses)
	o, err := rpc.ReadObject(text)
	if err != nil {
		return false
	}
	all := o.Len() > 0
	o.Each(func(_ string, value json.RawMessage) bool {
		result, err := rpc.ReadObject(value)
		if err != nil {
			all = false
			return false
		}
		action, _ := result.Text("action")
		all = all && action == "accept"
		return all
	})
	return all
}

// declined answers for a call whose user did not agree to visit the pages.
func declined(c *rpc.Call) *rpc.Message {
	const text = "The user did not agree to visit the pages that the server asked for."
	if c.Method.Name == mcp.ToolsCall {
		return toolFailure(c.Message.ID, text, `,"resultType":"complete"`)
	}
	return rpc.NewError(c.Message.ID, &rpc.WireError{Code: mcp.CodeInternal, Message: text})
}
