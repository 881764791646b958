package mcpserver

import (
	"strconv"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Bounds of what a server may make of a task.
const (
	maxTaskNotes    = 64 // notes of progress that wait for the client
	maxTaskFailures = 5  // requests about one task that fail
	maxTaskID       = 4 << 10

	taskPollDefault = time.Second
	taskPollMin     = 50 * time.Millisecond
	taskPollMax     = time.Minute
)

// States of a task (MCP 2025-11-25, Tasks, Task Status).
const (
	taskWorking   = "working"
	taskInput     = "input_required"
	taskCompleted = "completed"
	taskFailed    = "failed"
	taskCancelled = "cancelled"
)

// legacyTask is what a server last said of a task.
type legacyTask struct {
	id, status, message string
	poll                time.Duration // 0 if it did not say
	over                bool          // there is nothing left to cancel
}

// createdTask reads the answer to a call that may have begun a task.
func createdTask(m *rpc.Message) (*legacyTask, bool) {
	if m.Err != nil {
		return nil, false
	}
	text, _ := m.Get("task")
	o, err := rpc.ReadObject(text)
	if err != nil {
		return nil, false
	}
	t := &legacyTask{}
	t.id, _ = o.Text("taskId")
	if t.id == "" || len(t.id) > maxTaskID {
		return nil, false
	}
	t.set(o)
	return t, true
}

// read takes over the answer to tasks/get.
func (t *legacyTask) read(m *rpc.Message) error {
	o, err := rpc.ReadObject(m.Result)
	if err != nil {
		return err
	}
	t.set(o)
	return nil
}

func (t *legacyTask) set(o rpc.Object) {
	t.status, _ = o.Text("status")
	t.message, _ = o.Text("statusMessage")
	if text, ok := o.Get("pollInterval"); ok {
		if ms, err := strconv.ParseFloat(string(text), 64); err == nil && ms >= 0 {
			t.poll = max(time.Duration(min(ms, float64(taskPollMax.Milliseconds())))*time.Millisecond, taskPollMin)
		}
	}
}

// interval is how long to wait before asking again.
func (t *legacyTask) interval() time.Duration {
	if t.poll == 0 {
		return taskPollDefault
	}
	return t.poll
}
