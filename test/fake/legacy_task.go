package fake

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/headgate/headgate/test/fake/rawjson"
)

// LegacyTasks are the tasks of a legacy server (MCP 2025-11-25, Tasks). Give it to a server as [Config.LegacyTasks], and its
// Tools, which can be called as tasks only.
type LegacyTasks struct {
	// Poll is the pollInterval that clients are told.
	Poll time.Duration
	// Looks is how often a task is working when it is asked for, before it goes on.
	Looks int

	mu      sync.Mutex
	asked   int
	all     []*legacyTask
	answers map[string]chan []byte // by the id of a question
}

// legacyTask is one of LegacyTasks.
type legacyTask struct {
	tool, status string
	token        []byte // of progress
	looks        []time.Time
	over         chan struct{}
}

// What the tools of LegacyTasks do.
const (
	taskAsks   = "asks"   // asks its client for a name, and says it
	taskFails  = "fails"  // ends with an error
	taskSleeps = "sleeps" // works until it is cancelled
)

// Tools returns a tool that asks its client for a name, one that fails, and one that works until it is cancelled.
func (t *LegacyTasks) Tools() []Tool {
	var out []Tool
	for _, name := range []string{taskAsks, taskFails, taskSleeps} {
		out = append(out, Tool{
			Name: name, Behaviour: t.begin,
			Definition: json.RawMessage(`{"name":"` + name + `","inputSchema":{"type":"object"},"execution":{"taskSupport":"required"}}`),
		})
	}
	return out
}

// Status returns the status of the n-th task, the first being 0, and when it was asked for.
func (t *LegacyTasks) Status(n int) (status string, looks []time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n >= len(t.all) {
		return "", nil
	}
	return t.all[n].status, slices.Clone(t.all[n].looks)
}

func (t *LegacyTasks) begin(_ context.Context, c *Call) ([]byte, error) {
	if rawjson.Member(c.Params, "task") == nil {
		return nil, &Error{Code: codeUnknownMethod, Message: "this tool runs as a task only"}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	task := &legacyTask{tool: c.Name, status: "working", token: slices.Clone(c.progressToken()), over: make(chan struct{})}
	t.all = append(t.all, task)
	return fmt.Appendf(nil, `{"task":%s}`, t.describe(len(t.all)-1)), nil
}

// describe returns what is said of a task. The lock is held.
func (t *LegacyTasks) describe(n int) []byte {
	task := t.all[n]
	return fmt.Appendf(nil, `{"taskId":"task %d","status":%q,"statusMessage":"look %d","createdAt":"2025-11-25T00:00:00Z","lastUpdatedAt":"2025-11-25T00:00:00Z","ttl":60000,"pollInterval":%d}`,
		n, task.status, len(task.looks), t.Poll.Milliseconds())
}

// serve answers tasks/get, tasks/result and tasks/cancel.
func (t *LegacyTasks) serve(ctx context.Context, c *Call) ([]byte, error) {
	var n int
	_, err := fmt.Sscanf(unquote(rawjson.Member(c.Params, "taskId")), "task %d", &n)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil || n >= len(t.all) {
		return nil, &Error{Code: codeInvalidParams, Message: "no such task"}
	}
	task := t.all[n]
	switch c.Method {
	case "tasks/get":
		task.looks = append(task.looks, time.Now())
		if len(task.looks) >= t.Looks && task.status == "working" {
			switch task.tool {
			case taskAsks:
				task.status = "input_required"
			case taskFails:
				task.end("failed")
			}
		}
	case "tasks/cancel":
		if task.status != "working" && task.status != "input_required" {
			return nil, &Error{Code: codeInvalidParams, Message: "the task is " + task.status}
		}
		task.end("cancelled")
	default:
		t.mu.Unlock()
		result, err := t.result(ctx, c, n, task)
		t.mu.Lock()
		return result, err
	}
	return t.describe(n), nil
}

// end ends a task, unless it has ended.
func (task *legacyTask) end(status string) {
	select {
	case <-task.over:
	default:
		task.status = status
		close(task.over)
	}
}

// result answers tasks/result when the task is over. What it needs to know it asks for on the stream of this request.
func (t *LegacyTasks) result(ctx context.Context, c *Call, n int, task *legacyTask) ([]byte, error) {
	related := fmt.Sprintf(`"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"task %d"}}`, n)
	t.mu.Lock()
	asks := task.status == "input_required"
	t.mu.Unlock()
	if !asks {
		select {
		case <-task.over:
			return nil, &Error{Code: -32000, Message: "the task is over: it " + task.status}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if task.token != nil {
		progress := fmt.Sprintf(`{"progressToken":%s,"progress":1000,"message":"asking"}`, task.token)
		if err := c.Notify("notifications/progress", []byte(progress)); err != nil {
			return nil, err
		}
	}
	id, answer := t.question()
	question := fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"elicitation/create","params":{"message":"Who?","requestedSchema":{"type":"object","properties":{"name":{"type":"string"}}},%s}}`, id, related)
	if err := c.notify([]byte(question)); err != nil {
		return nil, err
	}
	select {
	case text := <-answer:
		t.mu.Lock()
		task.end("completed")
		t.mu.Unlock()
		return fmt.Appendf(nil, `{"content":[{"type":"text","text":%s}],%s}`, quote(string(text)), related), nil
	case <-task.over:
		return nil, &Error{Code: -32000, Message: "the task was cancelled"}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (t *LegacyTasks) question() (id string, answer chan []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked++
	id, answer = "question "+strconv.Itoa(t.asked), make(chan []byte, 1)
	if t.answers == nil {
		t.answers = make(map[string]chan []byte)
	}
	t.answers[id] = answer
	return id, answer
}

// answered takes a client's answer.
func (t *LegacyTasks) answered(m *message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := unquote(m.id)
	if answer := t.answers[id]; answer != nil {
		delete(t.answers, id)
		answer <- slices.Clone(m.result)
	}
}
