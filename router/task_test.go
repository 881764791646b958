package router

import (
	"testing"

	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state/seal"
)

// taskCall is a principal's call that names a task.
func taskCall(p rpc.Principal, endpoint, handle string) *rpc.Call {
	row, _ := mcp.Lookup(mcp.TasksGet, mcp.LatestModern)
	params := append(rpc.AppendString([]byte(`{"taskId":`), handle), '}')
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), mcp.TasksGet, params), Method: row, Endpoint: endpoint,
		Client: rpc.Client{Era: rpc.Modern, Revision: mcp.LatestModern}, Principal: p,
	}
}

// 5.35: no principal reaches the task of another, whatever it knows of its id.
func TestCorner5_35_TasksBelongToTheirPrincipal(t *testing.T) {
	t.Parallel()
	keys, err := seal.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	upstreams := map[string]rpc.Handler{"slow": rpc.HandlerFunc(nil)}
	r := New([]catalog.View{{Endpoint: "/mcp"}}, Deps{Keys: keys, Upstreams: upstreams})
	alice := rpc.Principal{Org: "acme", User: "alice"}

	call := &rpc.Call{
		Method: &rpc.Method{Name: mcp.ToolsCall}, Endpoint: "/mcp", Principal: alice,
		Client: rpc.Client{Era: rpc.Modern, Capabilities: []byte(`{"extensions":{"io.modelcontextprotocol/tasks":{}}}`)},
		Target: rpc.Target{Kind: rpc.Tool, Upstream: "slow"},
	}
	if !tells(call) {
		t.Fatal("the answer to a client with the extension is not looked at")
	}
	reply := r.tellTasks(call, rpc.Respond(rpc.NewResult(rpc.NumberID(1), []byte(`{"resultType":"task","taskId":"t1","n":1.0}`))))
	m, err := reply.Next()
	if err != nil {
		t.Fatal(err)
	}
	handle, _ := m.Clone().Text("taskId")

	target, err := r.task(t.Context(), r.views["/mcp"], taskCall(alice, "/mcp", handle))
	if err != nil || target.Upstream != "slow" || target.Own != "t1" || target.Kind != rpc.Task {
		t.Errorf("the owner's task is %+v, %v", target, err)
	}
	for name, c := range map[string]*rpc.Call{
		"somebody else":          taskCall(rpc.Principal{Org: "acme", User: "bob"}, "/mcp", handle),
		"shifted between fields": taskCall(rpc.Principal{Org: "acmea", User: "lice"}, "/mcp", handle),
		"nobody":                 taskCall(rpc.Principal{}, "/mcp", handle),
		"an id that is not ours": taskCall(alice, "/mcp", "t1"),
	} {
		if target, err := r.task(t.Context(), r.views["/mcp"], c); err == nil || rpc.AsError(err).Code != rpc.InvalidParams {
			t.Errorf("%s: %+v, %v", name, target, err)
		}
	}
}

// What is no task passes as it is.
func TestAnswersThatAreNoTasksStay(t *testing.T) {
	t.Parallel()
	r := New(nil, Deps{})
	call := &rpc.Call{Method: &rpc.Method{Name: mcp.ToolsCall}, Target: rpc.Target{Kind: rpc.Tool}}
	for _, result := range []string{`{"resultType":"complete","taskId":"mine"}`, `{"resultType":"task"}`, `{"content":[]}`} {
		reply := r.tellTasks(call, rpc.Respond(rpc.NewResult(rpc.NumberID(1), []byte(result))))
		m, err := reply.Next()
		if err != nil || string(m.Clone().Result) != result {
			t.Errorf("%s became %s, %v", result, m.Clone().Result, err)
		}
	}
}
