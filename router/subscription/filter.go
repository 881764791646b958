package subscription

import (
	"slices"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// filter is what a stream is asked for (MCP 2026-07-28, Subscriptions).
type filter struct {
	lists map[string]bool // by the notifications that tell of their changes
	uris  []string        // as the client knows them, without repetition
}

// lists are the members of a filter that ask for changes of lists, in the order in
// which they are acknowledged. An endpoint tells of all three.
var lists = []struct{ member, method string }{
	{"toolsListChanged", mcp.ToolsChanged},
	{"promptsListChanged", mcp.PromptsChanged},
	{"resourcesListChanged", mcp.ResourcesChanged},
}

// readFilter reads the filter of a request. What it asks for that is not known here is
// left out, as the acknowledgement says.
func readFilter(m *rpc.Message) (*filter, error) {
	text, ok := m.Get("notifications")
	if !ok || text[0] != '{' {
		return nil, rpc.Errorf(rpc.InvalidParams, "params.notifications must be an object")
	}
	o, err := rpc.ReadObject(text)
	if err != nil {
		return nil, rpc.Errorf(rpc.InvalidParams, "params.notifications: %w", err)
	}
	f := &filter{lists: map[string]bool{}}
	for _, l := range lists {
		v, ok := o.Get(l.member)
		if ok && string(v) != "true" && string(v) != "false" {
			return nil, rpc.Errorf(rpc.InvalidParams, "params.notifications.%s must be true or false", l.member)
		}
		f.lists[l.method] = string(v) == "true"
	}
	list, ok := o.Get("resourceSubscriptions")
	if !ok {
		return f, nil
	}
	items, err := rpc.Elements(list)
	if err != nil {
		return nil, rpc.Errorf(rpc.InvalidParams, "params.notifications.resourceSubscriptions must be an array")
	}
	if len(items) > maxURIs {
		return nil, rpc.Errorf(rpc.InvalidParams, "a stream can be about %d resources at most", maxURIs)
	}
	seen := map[string]bool{}
	for _, item := range items {
		uri, err := rpc.Unquote(item)
		if err != nil {
			return nil, rpc.Errorf(rpc.InvalidParams, "params.notifications.resourceSubscriptions must hold strings")
		}
		if !seen[uri] && len(uri) <= maxURI {
			seen[uri] = true
			f.uris = append(f.uris, uri)
		}
	}
	return f, nil
}

// acknowledgement is the first message of a stream: what it will tell of.
func (f *filter) acknowledgement(refused map[string]bool) *rpc.Message {
	b := []byte(`{"notifications":{`)
	empty := len(b)
	member := func(name string) {
		if len(b) > empty {
			b = append(b, ',')
		}
		b = append(rpc.AppendString(b, name), ':')
	}
	for _, l := range lists {
		if f.lists[l.method] {
			member(l.member)
			b = append(b, "true"...)
		}
	}
	agreed := slices.DeleteFunc(slices.Clone(f.uris), func(uri string) bool { return refused[uri] })
	for i, uri := range agreed {
		if i == 0 {
			member("resourceSubscriptions")
			b = append(b, '[')
		} else {
			b = append(b, ',')
		}
		b = rpc.AppendString(b, uri)
	}
	if len(agreed) > 0 {
		b = append(b, ']')
	}
	return rpc.NewNotification(mcp.Acknowledged, append(b, "}}"...))
}
