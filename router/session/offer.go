package session

import (
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// lists is a set of kinds of list, one bit each in the order of listKinds.
type lists byte

// listKinds are the capabilities that have lists, and the notifications that tell of their changes.
var listKinds = [...]struct{ capability, method string }{
	{"tools", mcp.ToolsChanged},
	{"prompts", mcp.PromptsChanged},
	{"resources", mcp.ResourcesChanged},
}

// notOffered reads in the answer to initialize which lists the client does not know of. What it was offered then holds
// for the session, whatever upstreams come and go (MCP 2025-11-25, Lifecycle, Capability Negotiation). Without an answer
// it may know of all.
func notOffered(answer *rpc.Message) (out lists) {
	if answer == nil {
		return 0
	}
	text, _ := answer.Get("capabilities")
	capabilities, err := rpc.ReadObject(text)
	if err != nil {
		return 0
	}
	for i, kind := range listKinds {
		if _, offered := capabilities.Get(kind.capability); !offered {
			out |= 1 << i
		}
	}
	return out
}

// changeIn reports whether a notification tells of changes of one of the lists.
func (l lists) changeIn(method string) bool {
	for i, kind := range listKinds {
		if kind.method == method {
			return l&(1<<i) != 0
		}
	}
	return false
}
