package mcpserver

import (
	"context"
	"errors"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// follow asks how the task is doing until its result can be had, and returns that.
func (r *taskRun) follow(t *legacyTask) (*rpc.Message, error) {
	unseen, unfetched := 0, 0 // tries that failed: to look, in a row; to fetch
	for {
		r.say(t.message)
		switch t.status {
		case taskWorking:
		case taskCancelled:
			t.over = true
			return nil, r.s.fault.failed(nil, "cancelled the task: %s", rpc.Excerpt(t.message))
		case taskCompleted, taskFailed:
			t.over = true
			fallthrough
		case taskInput:
			m, err := r.fetch(t.id)
			if unfetched++; err == nil || r.hopeless(err, unfetched) {
				return m, err
			}
		default:
			return nil, r.s.fault.failed(nil, "says that its task is %s", rpc.Excerpt(t.status))
		}
		if err := r.rest(t.interval()); err != nil {
			return nil, err
		}
		if r.s.endless(r.begun) {
			return nil, r.s.overdue(r.begun, errEndless)
		}
		err := r.look(t)
		if err == nil {
			unseen = 0
			continue
		}
		if unseen++; r.hopeless(err, unseen) {
			return nil, err
		}
	}
}

// rest waits before the task is asked for again.
func (r *taskRun) rest(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	case <-r.s.life.Done():
		return r.s.fault.down(errClosed, "was shut down")
	}
}

// hopeless reports whether it is of no use to try again what failed.
func (r *taskRun) hopeless(err error, tries int) bool {
	_, lost := errors.AsType[*stale](err)
	refusal, refused := errors.AsType[*rpc.Error](err)
	return lost || refused && refusal.Code == rpc.UpstreamFailed || r.ctx.Err() != nil || tries >= maxTaskFailures
}

// look asks for the state of the task.
func (r *taskRun) look(t *legacyTask) error {
	if r.s.links.find(r.key) != r.link { // which also notes that the link is in use
		return &stale{cause: r.s.fault.down(nil, "lost the task with its session")}
	}
	silence, _ := r.s.allowed(r.begun)
	ctx, cancel := context.WithTimeoutCause(r.ctx, silence, r.s.fault.timedOut(nil, "did not say how its task is doing"))
	defer cancel()
	m, err := ask(ctx, r.link, rpc.NewRequest(rpc.NumberID(0), mcp.TasksGet, taskParams(t.id)))
	switch {
	case r.ctx.Err() != nil:
		return context.Cause(r.ctx)
	case err != nil:
		return err
	case m.Err != nil:
		return r.s.fault.failed(m.Err, "lost the task: %s", rpc.Excerpt(m.Err.Message))
	}
	return t.read(m)
}

// fetch waits for the result of the task. A server that needs something asks for it on the
// stream of this request.
func (r *taskRun) fetch(id string) (*rpc.Message, error) {
	call := *r.call
	call.Message = rpc.NewRequest(r.call.Message.ID, mcp.TasksResult, taskParams(id))
	call.Method, call.Target = mcp.Foreign(mcp.TasksResult), rpc.Target{Upstream: r.call.Target.Upstream}
	x := newExchange(&call, r.link.hop())
	x.patient, x.token, x.progress = true, r.begun.token, r.begun.id
	x.resume(r.begun) // all requests of the task are one call
	defer r.begun.resume(x)
	source, err := r.link.send(r.ctx, x)
	if err != nil {
		return nil, err
	}
	reply := rpc.NewReply(source)
	defer func() { _ = reply.Close() }()
	r.ask(source)
	defer r.ask(nil)
	return r.relay(reply)
}

// stopTask tells the server that nobody waits for the task.
func (r *taskRun) stopTask(id string) {
	if !r.link.description().offers("tasks", "cancel") {
		return
	}
	ctx, cancel := context.WithTimeout(r.s.life, respondTimeout)
	defer cancel()
	if _, err := ask(ctx, r.link, rpc.NewRequest(rpc.NumberID(0), mcp.TasksCancel, taskParams(id))); err != nil {
		r.s.log.DebugContext(ctx, "a task was not cancelled", "error", err.Error())
	}
}

func taskParams(id string) []byte { return append(rpc.AppendString([]byte(`{"taskId":`), id), '}') }
