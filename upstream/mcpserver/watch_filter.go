package mcpserver

import (
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// tasksDeclared are the capabilities of who wants to hear of tasks.
const tasksDeclared = `{"extensions":{"` + mcp.TasksExtension + `":{}}}`

// filterOf is what a subscription asks for: changes of the lists whose changes the server
// promises to tell of, of resources, and of tasks if it has them.
func filterOf(d *Description, wants []interest) string {
	var resources, tasks []string
	for _, want := range wants {
		switch {
		case !want.task:
			resources = append(resources, want.id)
		case d.extends(mcp.TasksExtension):
			tasks = append(tasks, want.id)
		}
	}
	return string(mcp.AppendFilter(nil, listsOf(d), resources, tasks))
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
