package catalog

import (
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// list is one of the lists that servers have.
type list uint8

const (
	toolList list = iota
	promptList
	resourceList
	templateList
	listCount
)

// traits is what is particular to one list.
type traits struct {
	kind       rpc.Kind
	noun       string // what an entry is, in messages
	method     string // that lists it
	member     string // of the result, which holds the entries
	key        string // of an entry, which holds its name or URI
	capability string // of servers that have it
	changed    string // the notification that it changed
	limit      int    // entries of one upstream
}

// kinds describes the lists. Templates are fewer than the rest because each that is kept
// is compared with the URIs that are read.
var kinds = [listCount]traits{
	toolList:     {rpc.Tool, "tool", mcp.ToolsList, "tools", "name", "tools", mcp.ToolsChanged, 10_000},
	promptList:   {rpc.Prompt, "prompt", mcp.PromptsList, "prompts", "name", "prompts", mcp.PromptsChanged, 10_000},
	resourceList: {rpc.Resource, "resource", mcp.ResourcesList, "resources", "uri", "resources", mcp.ResourcesChanged, 10_000},
	templateList: {rpc.Resource, "resource template", mcp.TemplatesList, "resourceTemplates", "uriTemplate", "resources", mcp.ResourcesChanged, 1000},
}

func (l list) traits() *traits { return &kinds[l] }

// byURI reports whether entries are told apart by URIs, which stay as they are
// where possible, and not by names.
func (l list) byURI() bool { return l == resourceList || l == templateList }

// listOf returns the list that a method asks for.
func listOf(method string) (list, bool) {
	for l := range listCount {
		if l.traits().method == method {
			return l, true
		}
	}
	return 0, false
}
