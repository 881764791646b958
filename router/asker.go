package router

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

const inputRequired = "input_required"

// askers says to users which server asks them something (MCP 2025-11-25, Elicitation, User Interaction Model: a
// client makes clear which server it is). To the client of an endpoint that merges several all of them are the
// gateway, so that the words of a server begin with what it is called, in brackets. Samples are asked of a model and have
// no words for a user: they stay as they are.
type askers struct {
	titles map[string]string // by upstream
	claims *regexp.Regexp    // text that looks like such a beginning; nil if nobody has a title
}

func newAskers(titles map[string]string) *askers {
	var all []string
	for upstream, title := range titles {
		all = append(all, regexp.QuoteMeta(upstream), regexp.QuoteMeta(title))
	}
	if all == nil {
		return &askers{}
	}
	return &askers{titles, regexp.MustCompile(`(?i)\[\s*(` + strings.Join(all, "|") + `)\s*\]`)}
}

// words returns the text of a JSON string: what a server says to a user, with its title before it. What looks like a
// title in the words, its own or another server's, loses the brackets. Words that are none do not keep the title away.
func (a *askers) words(upstream string, said json.RawMessage) json.RawMessage {
	title, ok := a.titles[upstream]
	if !ok {
		return said
	}
	title = "[" + title + "] "
	text, err := rpc.Unquote(said)
	switch {
	case err == nil:
		return rpc.AppendString(nil, title+a.claims.ReplaceAllString(text, "($1)"))
	case len(said) > 1 && said[0] == '"': // with an escape that names no character
		out := rpc.AppendString(nil, title)
		return append(out[:len(out)-1], said[1:]...)
	}
	return rpc.AppendString(nil, strings.TrimSpace(title))
}

// question names the server in a question to a legacy client.
func (a *askers) question(upstream string, q *rpc.Message) {
	if q.Method == mcp.ElicitationCreate && q.Params != nil {
		said, _ := q.Get("message")
		q.Set("message", a.words(upstream, said))
	}
}

// response names the server in what a response asks of the user: by input requests, of a call or of a task, or by the
// error that wants pages to be visited first. It may edit m, and returns the message to send.
func (a *askers) response(upstream string, m *rpc.Message) *rpc.Message {
	if m.Err != nil {
		return a.refusal(upstream, m)
	}
	requests, ok := m.Get("inputRequests")
	if !ok || !wantsInput(m) {
		return m
	}
	if changed := eachMember(requests, func(request json.RawMessage) json.RawMessage { return a.request(upstream, request) }); changed != nil {
		m.Set("inputRequests", changed)
	}
	return m
}

// wantsInput reports whether a call or a task waits for its client (MCP 2026-07-28, Multi Round-Trip Requests; SEP-2663).
func wantsInput(m *rpc.Message) bool {
	kind, _ := m.Text("resultType")
	status, _ := m.Text("status")
	return kind == inputRequired || status == inputRequired
}

// request changes one input request; nil if it stays.
func (a *askers) request(upstream string, text json.RawMessage) json.RawMessage {
	o, err := rpc.ReadObject(text)
	if err != nil {
		return nil
	}
	params, ok := o.Get("params")
	if method, _ := o.Text("method"); !ok || method != mcp.ElicitationCreate {
		return nil
	}
	if changed := a.message(upstream, params); changed != nil {
		return o.With("params", changed)
	}
	return nil
}

// message changes the message of an object; nil if it stays.
func (a *askers) message(upstream string, text json.RawMessage) json.RawMessage {
	o, err := rpc.ReadObject(text)
	if err != nil {
		return nil
	}
	said, _ := o.Get("message")
	return o.With("message", a.words(upstream, said))
}

// refusal changes the error by which a server wants pages to be visited (MCP 2025-11-25, Elicitation, URL
// Elicitation Required Error).
func (a *askers) refusal(upstream string, m *rpc.Message) *rpc.Message {
	if m.Err.Code != mcp.CodeURLElicitation {
		return m
	}
	data, err := rpc.ReadObject(m.Err.Data)
	if err != nil {
		return m
	}
	list, _ := data.Get("elicitations")
	pages, err := rpc.Elements(list)
	if err != nil {
		return m
	}
	out := []byte{'['}
	for i, page := range pages {
		if changed := a.message(upstream, page); changed != nil {
			page = changed
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, page...)
	}
	e := *m.Err
	e.Data = data.With("elicitations", append(out, ']'))
	return rpc.NewError(m.ID, &e)
}

// eachMember changes the values of an object's members; nil if all stay.
func eachMember(text json.RawMessage, change func(json.RawMessage) json.RawMessage) json.RawMessage {
	o, err := rpc.ReadObject(text)
	if err != nil {
		return nil
	}
	out, touched := []byte{'{'}, false
	o.Each(func(name string, value json.RawMessage) bool {
		if changed := change(value); changed != nil {
			value, touched = changed, true
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(rpc.AppendString(out, name), ':'), value...)
		return true
	})
	if !touched {
		return nil
	}
	return append(out, '}')
}
