package mcpserver

import (
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// interestKinds are the kinds of interests, and the members of a subscription for them.
var interestKinds = []struct {
	task   bool
	filter string
}{{false, "resourceSubscriptions"}, {true, taskFilter}}

const taskFilter = "taskIds"

// tasksDeclared are the capabilities of who wants to hear of tasks.
const tasksDeclared = `{"extensions":{"` + mcp.TasksExtension + `":{}}}`

// filterOf is what a subscription asks for: changes of the lists whose changes the server
// promises to tell of, of resources, and of tasks if it has them.
func filterOf(d *Description, wants []interest) string {
	f := []byte{'{'}
	member := func(name string) {
		if len(f) > 1 {
			f = append(f, ',')
		}
		f = append(rpc.AppendString(f, name), ':')
	}
	for _, kind := range listsOf(d) {
		member(kind.filter)
		f = append(f, "true"...)
	}
	for _, kind := range interestKinds {
		if kind.task && !d.extends(mcp.TasksExtension) {
			continue
		}
		n := 0
		for _, want := range wants {
			if want.task != kind.task {
				continue
			}
			if n == 0 {
				member(kind.filter)
				f = append(f, '[')
			} else {
				f = append(f, ',')
			}
			f = rpc.AppendString(f, want.id)
			n++
		}
		if n > 0 {
			f = append(f, ']')
		}
	}
	return string(append(f, '}'))
}

func listenRequest(filter string, h *hop, capabilities string) *rpc.Message {
	return introduced(rpc.NewRequest(rpc.NumberID(0), mcp.Listen, append([]byte(`{"notifications":`+filter), '}')), h, capabilities)
}

// introduced lets the gateway introduce itself in a request of its own.
func introduced(m *rpc.Message, h *hop, capabilities string) *rpc.Message {
	m.SetMeta(mcp.MetaVersion, h.version)
	m.SetMeta(mcp.MetaCapabilities, []byte(capabilities))
	m.SetMeta(mcp.MetaClientInfo, h.identity)
	return m
}
