package router

import (
	"context"
	"encoding/binary"
	"strings"

	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// An upstream may answer a tools/call with a task, whose id is then all it takes to
// see, feed and cancel it (SEP-2663). Users who share a credential upstream are one
// to it, so the gateway draws the line between them: a client is given an id that
// holds the upstream and the task, sealed to the principal and the endpoint.

const taskPurpose = "task"

// Sealer makes handles that come back unread and unchanged, or not at all.
type Sealer interface {
	// Seal encrypts plain for a purpose. Only Open with the same purpose and the same
	// bind gives it back.
	Seal(purpose string, bind, plain []byte) string
	// Open returns what was sealed, or an error for anything else.
	Open(purpose string, bind []byte, handle string) ([]byte, error)
}

// task finds the upstream that has a task.
func (r *Router) task(_ context.Context, _ *catalog.View, c *rpc.Call) (*rpc.Target, error) {
	handle, err := subject(c)
	if err != nil {
		return nil, err
	}
	return r.openTask(c, handle)
}

// openTask reads an id that the gateway gave to a client.
func (r *Router) openTask(c *rpc.Call, handle string) (*rpc.Target, error) {
	plain, err := r.Keys.Open(taskPurpose, taskOwner(c), handle)
	if err != nil {
		return nil, rpc.Errorf(rpc.InvalidParams, "there is no such task on %s", c.Endpoint)
	}
	upstream, own, _ := strings.Cut(string(plain), "\x00")
	if r.Upstreams[upstream] == nil {
		return nil, rpc.Errorf(rpc.InvalidParams, "the server that had the task is not here any more")
	}
	return &rpc.Target{Kind: rpc.Task, Upstream: upstream, Own: own}, nil
}

// Task finds the task that a client means by an id, for who deals in more than the one that
// a call is about; nil if there is none.
func (r *Router) Task(c *rpc.Call, id string) *rpc.Target {
	target, err := r.openTask(c, id)
	if err != nil {
		return nil
	}
	return target
}

// ExposeTask gives what an upstream says of a task the form that the client of a call can
// use.
func (r *Router) ExposeTask(ctx context.Context, c *rpc.Call, upstream string, m *rpc.Message) *rpc.Message {
	own := *c
	own.Target = rpc.Target{Kind: rpc.Task, Upstream: upstream}
	view := r.views[c.Endpoint]
	m = r.Catalog.ExposeTask(ctx, view, &own, m)
	if view.Single {
		return m
	}
	return r.askers.response(upstream, m.Fork())
}

// taskOwner is what the id of a task is bound to.
func taskOwner(c *rpc.Call) []byte {
	out := binary.AppendUvarint(nil, uint64(len(c.Endpoint)))
	return c.Principal.AppendIdentity(append(out, c.Endpoint...))
}

// tells reports whether the answer to a call may tell the id of a task.
func tells(c *rpc.Call) bool {
	if c.Target.Kind == rpc.Task {
		return true
	}
	if c.Client.Era != rpc.Modern || c.Method.Name != mcp.ToolsCall {
		return false
	}
	return mcp.Declares(c.Client.Capabilities, mcp.TasksExtension)
}

// tellTasks returns a reply that names tasks as the client may.
func (r *Router) tellTasks(c *rpc.Call, reply *rpc.Reply) *rpc.Reply {
	out := rpc.NewReply(&taskTeller{Reply: reply, keys: r.Keys, call: c})
	out.Header, out.Revision = reply.Header, reply.Revision
	return out
}

// taskTeller is a reply in which the ids of tasks are sealed.
type taskTeller struct {
	*rpc.Reply
	keys Sealer
	call *rpc.Call
}

// Next implements [rpc.Source].
func (t *taskTeller) Next() (*rpc.Message, error) {
	m, err := t.Reply.Next()
	if err != nil || !m.IsResponse() || m.Err != nil {
		return m, err
	}
	own, ok := m.Text("taskId")
	if !ok {
		return m, nil
	}
	handle := t.call.Target.Exposed
	if t.call.Target.Kind != rpc.Task {
		if kind, _ := m.Text("resultType"); kind != "task" {
			return m, nil
		}
		handle = t.keys.Seal(taskPurpose, taskOwner(t.call), []byte(t.call.Target.Upstream+"\x00"+own))
	}
	out := m.Fork()
	out.Set("taskId", rpc.AppendString(nil, handle))
	return out, nil
}
