package mcpserver

import (
	"slices"

	"github.com/headgate/headgate/rpc/mcp"
)

// interest is one thing that somebody wants to hear of: changes of a resource, by its URI,
// or of a task of the extension (SEP-2663), by its id.
type interest struct {
	task bool
	id   string
}

func interestsIn(task bool, ids []string) []interest {
	out := make([]interest, len(ids))
	for i, id := range ids {
		out[i] = interest{task, id}
	}
	return out
}

func idsOf(wants []interest) []string {
	var out []string
	for _, want := range wants {
		out = append(out, want.id)
	}
	return out
}

// listsOf returns the lists whose changes a server says it tells of.
func listsOf(d *Description) []mcp.ListChange {
	return slices.DeleteFunc(slices.Clone(mcp.ListChanges), func(l mcp.ListChange) bool { return !d.promises(l.Capability, "listChanged") })
}
