package fake

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/headgate/headgate/test/fake/rawjson"
)

const (
	tasksExtension        = "io.modelcontextprotocol/tasks"
	tasksChanged          = "notifications/tasks"
	codeMissingCapability = -32021
)

// Tasks are the tasks of a modern server (SEP-2663). Each begins by asking its client a question, and is completed by the
// answer, which becomes its result. Give it to a server as [Config.Tasks], and its Tool.
type Tasks struct {
	mu   sync.Mutex
	made int
	all  map[string]*task
}

// task is one of Tasks. An empty answer means that it waits for one.
type task struct{ status, answer string }

// Tool returns a tool that answers each call with a new task.
func (t *Tasks) Tool(name string) Tool { return Tool{Name: name, Behaviour: t.begin} }

// Status returns the status of a task by the server's own id, and nothing if there is no such task.
func (t *Tasks) Status(id string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found := t.all[id]; found != nil {
		return found.status
	}
	return ""
}

func (t *Tasks) begin(_ context.Context, c *Call) ([]byte, error) {
	if err := declared(c); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = make(map[string]*task)
	}
	t.made++
	id := fmt.Sprintf("task-%d", t.made)
	t.all[id] = &task{status: "input_required"}
	return append(describeTask(nil, "task", id, "input_required"), '}'), nil
}

// serve answers tasks/get, tasks/update and tasks/cancel.
func (t *Tasks) serve(c *Call) ([]byte, error) {
	if err := declared(c); err != nil {
		return nil, err
	}
	id := unquote(rawjson.Member(c.Params, "taskId"))
	t.mu.Lock()
	defer t.mu.Unlock()
	found := t.all[id]
	if found == nil {
		return nil, &Error{Code: codeInvalidParams, Message: fmt.Sprintf("unknown task %q", id)}
	}
	switch {
	case c.Method == "tasks/get":
		return found.detail(id), nil
	case c.Method == "tasks/cancel" && found.status == "input_required":
		found.status = "cancelled"
	case c.Method == "tasks/update" && found.status == "input_required":
		if answer := rawjson.Member(rawjson.Member(c.Params, "inputResponses"), "question"); answer != nil {
			found.status, found.answer = "completed", string(answer)
		}
	}
	return []byte(`{"resultType":"complete"}`), nil
}

// TellTask tells who listens how a task is doing.
func (s *Server) TellTask(id string) {
	t := s.config.Tasks
	t.mu.Lock()
	detail := bytes.Replace(t.all[id].detail(id), []byte(`"resultType":"complete",`), nil, 1)
	t.mu.Unlock()
	s.Notify(tasksChanged, detail)
}

// detail is the result of tasks/get.
func (t *task) detail(id string) []byte {
	out := describeTask(nil, "complete", id, t.status)
	switch t.status {
	case "input_required":
		out = append(out, `,"inputRequests":{"question":{"method":"elicitation/create","params":{"mode":"form","message":"Who?",`...)
		out = append(out, `"requestedSchema":{"type":"object","properties":{"name":{"type":"string"}}}}}}`...)
	case "completed":
		out = fmt.Appendf(out, `,"result":{"content":[{"type":"text","text":%s}]}`, quote(t.answer))
	}
	return append(out, '}')
}

// describeTask appends what each description of a task begins with.
func describeTask(out []byte, resultType, id, status string) []byte {
	return fmt.Appendf(out, `{"resultType":%s,"taskId":%s,"status":%s,"createdAt":"2026-07-28T00:00:00Z","lastUpdatedAt":"2026-07-28T00:00:00Z","ttlMs":null`,
		quote(resultType), quote(id), quote(status))
}

// declared refuses clients that did not declare the extension.
func declared(c *Call) error {
	extensions := rawjson.Member(rawjson.Member(c.Meta, metaCapabilities), "extensions")
	if c.Era == Modern && rawjson.Member(extensions, tasksExtension) != nil {
		return nil
	}
	return &Error{
		Code: codeMissingCapability, Message: "the client must declare " + tasksExtension, Status: http.StatusBadRequest,
		Data: []byte(`{"requiredCapabilities":{"extensions":{"` + tasksExtension + `":{}}}}`),
	}
}

// serveTask passes a method of the extension on, where the server has it.
func (s *Server) serveTask(ctx context.Context, c *Call) ([]byte, error) {
	switch {
	case c.Era == Modern && s.config.Tasks != nil:
		result, err := s.config.Tasks.serve(c)
		if err == nil && c.Method != "tasks/get" {
			s.TellTask(unquote(rawjson.Member(c.Params, "taskId")))
		}
		return result, err
	case c.Era == Legacy && s.config.LegacyTasks != nil:
		return s.config.LegacyTasks.serve(ctx, c)
	}
	return nil, &Error{Code: codeUnknownMethod, Message: "unknown method " + c.Method}
}
