package mcp

import "github.com/headgate/headgate/rpc"

// Names of the methods the gateway itself deals with.
const (
	Initialize    = "initialize"
	Initialized   = "notifications/initialized"
	Discover      = "server/discover"
	Ping          = "ping"
	ToolsList     = "tools/list"
	ToolsCall     = "tools/call"
	PromptsList   = "prompts/list"
	ResourcesList = "resources/list"
	TemplatesList = "resources/templates/list"
	Complete      = "completion/complete"
	PromptsGet    = "prompts/get"
	Cancelled     = "notifications/cancelled"
	ResourcesRead = "resources/read"
	Progress      = "notifications/progress"
	SetLevel      = "logging/setLevel"
	Subscribe     = "resources/subscribe"
	Unsubscribe   = "resources/unsubscribe"
	Listen        = "subscriptions/listen"
	LogMessage    = "notifications/message"

	ToolsChanged     = "notifications/tools/list_changed"
	PromptsChanged   = "notifications/prompts/list_changed"
	ResourcesChanged = "notifications/resources/list_changed"
	ResourceUpdated  = "notifications/resources/updated"
	Acknowledged     = "notifications/subscriptions/acknowledged"
	RootsChanged     = "notifications/roots/list_changed"
)

// Methods of the tasks extension (SEP-2663), and its name among capabilities.
const (
	TasksGet       = "tasks/get"
	TasksUpdate    = "tasks/update"
	TasksCancel    = "tasks/cancel"
	TasksExtension = "io.modelcontextprotocol/tasks"
)

// What else tells of tasks. Legacy ones (MCP 2025-11-25, Tasks) are other methods than those of the extension, and
// clients see nothing of them.
const (
	TaskChanged = "notifications/tasks" // of the extension
	TasksResult = "tasks/result"        // legacy
	TaskStatus  = "notifications/tasks/status"
	MetaTask    = "io.modelcontextprotocol/related-task"
)

// Rows that no client can name: the edge makes them of HTTP requests and of
// messages that are no requests, so that they take the same path as every call.
const (
	SessionConnect = "session/connect" // a connection that will carry many messages
	SessionPost    = "session/post"    // a POST for such a connection; its message makes a call of its own
	SessionResume  = "session/resume"  // a legacy client's GET of the rest of a call's stream
	SessionCheck   = "session/check"   // may a client be here? Asked before it is told what is wrong with a request, and again while a stream lasts
	SessionAnswer  = "session/answer"  // a legacy client's answer to a question
	SessionStream  = "session/stream"  // a legacy client's GET stream
	SessionEnd     = "session/end"     // a legacy client's DELETE
)

// methods that clients send. Since and Until bound them by revision; a method that
// a revision lacks is unknown there.
var methods = table(
	rpc.Method{Name: Initialize, Dest: rpc.Gateway, Until: LatestLegacy},
	rpc.Method{Name: Ping, Dest: rpc.Gateway, Until: LatestLegacy},
	rpc.Method{Name: Discover, Dest: rpc.Gateway, Since: LatestModern},
	rpc.Method{Name: ToolsList, Dest: rpc.Every, Idempotent: true, Cacheable: true},
	rpc.Method{Name: ToolsCall, Dest: rpc.Owner, Subject: "name"},
	rpc.Method{Name: PromptsList, Dest: rpc.Every, Idempotent: true, Cacheable: true},
	rpc.Method{Name: PromptsGet, Dest: rpc.Owner, Idempotent: true, Subject: "name"},
	rpc.Method{Name: ResourcesList, Dest: rpc.Every, Idempotent: true, Cacheable: true},
	rpc.Method{Name: TemplatesList, Dest: rpc.Every, Idempotent: true, Cacheable: true},
	rpc.Method{Name: ResourcesRead, Dest: rpc.Owner, Idempotent: true, Cacheable: true, Subject: "uri"},
	rpc.Method{Name: Complete, Dest: rpc.Owner, Idempotent: true},

	rpc.Method{Name: TasksGet, Dest: rpc.Owner, Since: LatestModern, Idempotent: true, Subject: "taskId"},
	rpc.Method{Name: TasksUpdate, Dest: rpc.Owner, Since: LatestModern, Subject: "taskId"},
	rpc.Method{Name: TasksCancel, Dest: rpc.Owner, Since: LatestModern, Idempotent: true, Subject: "taskId"},

	rpc.Method{Name: Listen, Dest: rpc.Gateway, Since: LatestModern},
	rpc.Method{Name: Subscribe, Dest: rpc.Gateway, Until: LatestLegacy},
	rpc.Method{Name: Unsubscribe, Dest: rpc.Gateway, Until: LatestLegacy},
	rpc.Method{Name: SetLevel, Dest: rpc.Holder, Until: LatestLegacy},
	rpc.Method{Name: Initialized, Dest: rpc.Holder, Until: LatestLegacy},
	rpc.Method{Name: Cancelled, Dest: rpc.Holder},
	rpc.Method{Name: Progress, Dest: rpc.Holder, Until: LatestLegacy},
	rpc.Method{Name: RootsChanged, Dest: rpc.Holder, Until: LatestLegacy},
)

// made up by the edge only.
var edgeMethods = table(
	rpc.Method{Name: SessionConnect, Dest: rpc.Holder},
	rpc.Method{Name: SessionPost, Dest: rpc.Holder},
	rpc.Method{Name: SessionResume, Dest: rpc.Holder},
	rpc.Method{Name: SessionCheck, Dest: rpc.Holder},
	rpc.Method{Name: SessionAnswer, Dest: rpc.Holder},
	rpc.Method{Name: SessionStream, Dest: rpc.Holder},
	rpc.Method{Name: SessionEnd, Dest: rpc.Holder},
)

func table(rows ...rpc.Method) map[string]*rpc.Method {
	out := make(map[string]*rpc.Method, len(rows))
	for i := range rows {
		out[rows[i].Name] = &rows[i]
	}
	return out
}

// Lookup returns the row of a method that clients of a revision may send. A method
// that revision does not have, or that is not known at all, is not found.
func Lookup(name string, r rpc.Revision) (*rpc.Method, bool) {
	m, ok := methods[name]
	if !ok || !within(r, m.Since, m.Until) {
		return nil, false
	}
	return m, true
}

// Known reports whether the protocol has the method, in whatever revision.
func Known(name string) bool { return methods[name] != nil }

// EdgeMethod returns one of the rows that only the edge can produce. The name must
// be one of the session/ methods.
func EdgeMethod(name string) *rpc.Method { return edgeMethods[name] }

// Foreign returns a row for a method that is in no table. It goes to the one
// upstream of its endpoint, if there is just one.
func Foreign(name string) *rpc.Method { return &rpc.Method{Name: name, Dest: rpc.Owner} }

// MirroredSubject returns the member of params whose value Mcp-Name mirrors, empty
// if the method has none (SEP-2243; tasks by SEP-2663).
func MirroredSubject(method string) rpc.Field {
	switch method {
	case ToolsCall, PromptsGet:
		return "name"
	case ResourcesRead:
		return "uri"
	case TasksGet, TasksUpdate, TasksCancel:
		return "taskId"
	}
	return ""
}

func within(r, since, until rpc.Revision) bool {
	i := index(r)
	return (since == "" || i >= index(since)) && (until == "" || i <= index(until))
}
