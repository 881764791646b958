package mcp

import "github.com/headgate/headgate/rpc"

// ListChange is a list whose changes a subscription can be about (MCP 2026-07-28, Subscriptions).
type ListChange struct {
	Capability string // of the server, whose listChanged promises it
	Filter     string // the member of a filter that asks for it
	Method     string // the notification that tells of it
}

// ListChanges are all of them, in the order in which filters have them. Nobody may change it.
var ListChanges = []ListChange{
	{"tools", "toolsListChanged", ToolsChanged},
	{"prompts", "promptsListChanged", PromptsChanged},
	{"resources", "resourcesListChanged", ResourcesChanged},
}

// Members of a filter that name single things: resources by their URIs, and tasks by their ids (SEP-2663).
const (
	FilterResources = "resourceSubscriptions"
	FilterTasks     = "taskIds"
)

// AppendFilter appends the filter of a subscription to dst, and returns the longer slice: what a client asks to hear of, and what
// a server agrees to tell of. Lists are members of [ListChanges]. What is empty is left out.
func AppendFilter(dst []byte, lists []ListChange, resources, tasks []string) []byte {
	dst = append(dst, '{')
	empty := len(dst)
	member := func(name string) {
		if len(dst) > empty {
			dst = append(dst, ',')
		}
		dst = append(rpc.AppendString(dst, name), ':')
	}
	for _, l := range lists {
		member(l.Filter)
		dst = append(dst, "true"...)
	}
	for _, part := range [...]struct {
		name  string
		items []string
	}{{FilterResources, resources}, {FilterTasks, tasks}} {
		for i, item := range part.items {
			if i == 0 {
				member(part.name)
				dst = append(dst, '[')
			} else {
				dst = append(dst, ',')
			}
			dst = rpc.AppendString(dst, item)
		}
		if len(part.items) > 0 {
			dst = append(dst, ']')
		}
	}
	return append(dst, '}')
}
