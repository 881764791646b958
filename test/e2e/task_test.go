package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/headgate/headgate/test/fake"
)

const tasksDeclared = `{"elicitation":{"form":{}},"extensions":{"io.modelcontextprotocol/tasks":{}}}`

// taskClient is a modern client that sends methods about tasks.
type taskClient struct {
	*raw
	capabilities string
}

// answered is the part of an answer that tests of tasks look at.
type answered struct {
	Result struct {
		ResultType, TaskID, Status string
		InputRequests              map[string]json.RawMessage
		Result                     struct{ Content []struct{ Text string } }
	}
	Error struct{ Code int }
}

// send sends a request whose subject is the name of a tool or the id of a task.
func (c *taskClient) send(method, member, subject, more string) answered {
	c.t.Helper()
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%q:%q%s,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",`+
		`"io.modelcontextprotocol/clientCapabilities":%s,"io.modelcontextprotocol/clientInfo":{"name":"raw","version":"1"}}}}`,
		method, member, subject, more, c.capabilities)
	res, text := c.post(body, modernHeaders(method, subject))
	var a answered
	if err := json.Unmarshal([]byte(message(res, text)), &a); err != nil {
		c.t.Fatalf("%s: %s: %q", method, res.Status, text)
	}
	return a
}

// withTasks runs a gateway in front of a server with tasks and one without.
func withTasks(t *testing.T) (tasks *fake.Tasks, url string) {
	t.Helper()
	tasks = &fake.Tasks{}
	_, server := fakeUpstream(t, fake.Config{
		Name: "slow", Eras: fake.Modern, Tasks: tasks, Tools: []fake.Tool{tasks.Tool("dig")},
		Capabilities: json.RawMessage(`{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}`),
	})
	_, other := fakeUpstream(t, fake.Config{Name: "other", Eras: fake.Modern})
	return tasks, endpoint(startGateway(t, "upstreams:\n"+httpUpstream("slow", server)+httpUpstream("other", other)), "/mcp")
}

func TestTasksRunToTheirEnd(t *testing.T) {
	t.Parallel()
	tasks, url := withTasks(t)
	for path, tool := range map[string]string{"": "slow__dig", "/slow": "dig"} {
		c := &taskClient{&raw{t: t, url: url + path}, tasksDeclared}
		begun := c.send("tools/call", "name", tool, "").Result
		if begun.ResultType != "task" || begun.TaskID == "" || strings.HasPrefix(begun.TaskID, "task-") {
			t.Fatalf("%s: begun as %+v", path, begun)
		}
		waits := c.send("tasks/get", "taskId", begun.TaskID, "").Result
		if waits.Status != "input_required" || waits.TaskID != begun.TaskID || waits.InputRequests["question"] == nil {
			t.Errorf("%s: it waits as %+v", path, waits)
		}
		if got := c.send("tasks/update", "taskId", begun.TaskID, `,"inputResponses":{"question":{"action":"accept","content":{"name":"Ada"}}}`); got.Result.ResultType != "complete" {
			t.Errorf("%s: update: %+v", path, got)
		}
		done := c.send("tasks/get", "taskId", begun.TaskID, "").Result
		if done.Status != "completed" || len(done.Result.Content) != 1 || !strings.Contains(done.Result.Content[0].Text, `"Ada"`) {
			t.Errorf("%s: done as %+v", path, done)
		}

		other := c.send("tools/call", "name", tool, "").Result
		if got := c.send("tasks/cancel", "taskId", other.TaskID, ""); got.Result.ResultType != "complete" {
			t.Errorf("%s: cancel: %+v", path, got)
		}
		if got := c.send("tasks/get", "taskId", other.TaskID, "").Result; got.Status != "cancelled" {
			t.Errorf("%s: cancelled as %+v", path, got)
		}
	}
	if got := tasks.Status("task-1"); got != "completed" {
		t.Errorf("the server's task is %s", got)
	}
}

// 5.35: an id is good for whom it was given to, and only as it was given.
func TestIdsOfTasksAreSealed(t *testing.T) {
	t.Parallel()
	tasks, url := withTasks(t)
	c := &taskClient{&raw{t: t, url: url}, tasksDeclared}
	id := c.send("tools/call", "name", "slow__dig", "").Result.TaskID
	elsewhere := &taskClient{&raw{t: t, url: url + "/slow"}, tasksDeclared}
	for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
		for name, got := range map[string]answered{
			"the server's own id": c.send(method, "taskId", "task-1", ""),
			"a changed id":        c.send(method, "taskId", id[:len(id)-1]+"~", ""),
			"on another endpoint": elsewhere.send(method, "taskId", id, ""),
		} {
			if got.Error.Code != -32602 {
				t.Errorf("%s of %s: %+v", method, name, got)
			}
		}
	}
	if got := tasks.Status("task-1"); got != "input_required" {
		t.Errorf("the task is %s", got)
	}
}

// 5.14: who did not declare the extension is told by the server what is missing.
func TestTasksNeedToBeDeclared(t *testing.T) {
	t.Parallel()
	_, url := withTasks(t)
	c := &taskClient{&raw{t: t, url: url}, "{}"}
	if got := c.send("tools/call", "name", "slow__dig", ""); got.Error.Code != -32021 {
		t.Errorf("a client without the extension got %+v", got)
	}
}

// The extension is offered to those who can use it.
func TestTasksAreOfferedToModernClients(t *testing.T) {
	t.Parallel()
	_, url := withTasks(t)
	r := &raw{t: t, url: url}
	_, modern := r.post(`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",`+
		`"io.modelcontextprotocol/clientCapabilities":{}}}}`, modernHeaders("server/discover", ""))
	if !strings.Contains(modern, "io.modelcontextprotocol/tasks") {
		t.Errorf("server/discover: %s", modern)
	}
	_, old := r.post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`, nil)
	if strings.Contains(old, "tasks") {
		t.Errorf("initialize: %s", old)
	}
}

// Clients hear of their tasks on their streams, by the ids that they know and on the
// endpoint that they got them on, and nobody else does.
func TestTasksAreToldOnStreams(t *testing.T) {
	t.Parallel()
	_, url := withTasks(t)
	c := &taskClient{&raw{t: t, url: url}, tasksDeclared}
	id := c.send("tools/call", "name", "slow__dig", "").Result.TaskID
	other := c.send("tools/call", "name", "slow__dig", "").Result.TaskID
	follow := func(url, ids string) <-chan string {
		ctx, cancel := context.WithCancel(t.Context())
		res := (&raw{t: t, url: url}).open(ctx, `{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{"notifications":{"taskIds":[`+ids+`]},"_meta":{`+
			`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":`+tasksDeclared+`}}}`, modernHeaders("subscriptions/listen", ""))
		t.Cleanup(func() { cancel(); _ = res.Body.Close() })
		return events(res)
	}
	stream := follow(url, `"`+id+`","task-1"`)
	if ack := await(t, stream, "subscriptions/acknowledged", id); strings.Contains(ack, "task-1") {
		t.Errorf("the server's own id is good: %s", ack)
	}
	if ack := await(t, follow(url+"/slow", `"`+id+`"`), "subscriptions/acknowledged"); strings.Contains(ack, id) {
		t.Errorf("the id is good on another endpoint: %s", ack)
	}
	c.send("tasks/cancel", "taskId", other, "")
	c.send("tasks/update", "taskId", id, `,"inputResponses":{"question":{"action":"accept","content":{"name":"Ada"}}}`)
	told := await(t, stream, "notifications/tasks")
	for _, want := range []string{`"status":"completed"`, id, `subscriptionId":"l"`, "Ada"} {
		if !strings.Contains(told, want) {
			t.Errorf("told %s, which lacks %s", told, want)
		}
	}
	if strings.Contains(told, "task-1") {
		t.Errorf("told the server's own id: %s", told)
	}
}
