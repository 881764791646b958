package subscription

import (
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// filter is what a stream is asked for (MCP 2026-07-28, Subscriptions).
type filter struct {
	lists map[string]bool // by the notifications that tell of their changes
	uris  []string        // as the client knows them, without repetition
	tasks []string        // likewise, by their ids (SEP-2663)
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
	for _, l := range mcp.ListChanges { // an endpoint tells of all of them
		v, ok := o.Get(l.Filter)
		if ok && string(v) != "true" && string(v) != "false" {
			return nil, rpc.Errorf(rpc.InvalidParams, "params.notifications.%s must be true or false", l.Filter)
		}
		f.lists[l.Method] = string(v) == "true"
	}
	if f.uris, err = readNames(o, mcp.FilterResources); err != nil {
		return nil, err
	}
	f.tasks, err = readNames(o, mcp.FilterTasks)
	return f, err
}

// readNames reads a list of what changes are to be told of, without repetition.
func readNames(o rpc.Object, member string) ([]string, error) {
	list, ok := o.Get(member)
	if !ok {
		return nil, nil
	}
	items, err := rpc.Elements(list)
	if err != nil {
		return nil, rpc.Errorf(rpc.InvalidParams, "params.notifications.%s must be an array", member)
	}
	if len(items) > maxURIs {
		return nil, rpc.Errorf(rpc.InvalidParams, "params.notifications.%s can hold %d at most", member, maxURIs)
	}
	out := make([]string, 0, len(items))
	seen := map[string]bool{}
	for _, item := range items {
		name, err := rpc.Unquote(item)
		if err != nil {
			return nil, rpc.Errorf(rpc.InvalidParams, "params.notifications.%s must hold strings", member)
		}
		if !seen[name] && len(name) <= maxURI {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out, nil
}

// acknowledgement is the first message of a stream: what it will tell of.
func (f *filter) acknowledgement(agreed []want) *rpc.Message {
	var lists []mcp.ListChange
	for _, l := range mcp.ListChanges {
		if f.lists[l.Method] {
			lists = append(lists, l)
		}
	}
	var resources, tasks []string
	for _, w := range agreed {
		if w.task {
			tasks = append(tasks, w.exposed)
		} else {
			resources = append(resources, w.exposed)
		}
	}
	params := mcp.AppendFilter([]byte(`{"notifications":`), lists, resources, tasks)
	return rpc.NewNotification(mcp.Acknowledged, append(params, '}'))
}
