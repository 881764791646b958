package mcpserver

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// taskGrace is how long a server has to say which task it has begun when nobody waits for
// it any more: only then can it be told to stop.
const taskGrace = 2 * time.Second

// taskRun is a call of a tool that a legacy server runs as a task (MCP 2025-11-25, Tasks),
// and the source of its reply. The server answers such a call at once; what comes of it is
// asked for until it is there. To the client it is a call like any other, which takes its
// time: it hears of progress, is asked what the server wants to know, and can cancel.
//
// One goroutine makes the requests, all on the link that the task was begun on: a server
// may keep tasks with its sessions.
type taskRun struct {
	s      *Server
	try    *rpc.Try // of the task as a whole
	key    linkKey
	link   link
	call   *rpc.Call // with a message of its own, since the last request may outlive the client's
	begun  *exchange
	ctx    context.Context // ends when nobody waits
	cancel context.CancelCauseFunc
	out    chan *rpc.Message // to Next
	notes  chan *rpc.Message // progress, which nobody waits to be rid of
	done   chan struct{}
	failed error  // why there is no response; set before done is closed
	said   string // what the server said last of the task; used by run only

	mu    sync.Mutex
	asker rpc.Source // takes answers

	pace pace // used by Next only
	over bool // likewise
}

var _ rpc.Source = (*taskRun)(nil)

// startTask begins a task. The error is a *stale one as that of any call.
func (s *Server) startTask(ctx context.Context, k linkKey, l link, x *exchange) (rpc.Source, error) {
	call := *x.call
	call.Message = x.call.Message.Clone()
	x.call = &call
	x.message.Set("task", []byte("{}"))
	r := &taskRun{
		s: s, try: x.try, key: k, link: l, call: &call, begun: x,
		out: make(chan *rpc.Message), notes: make(chan *rpc.Message, maxTaskNotes), done: make(chan struct{}),
	}
	x.try = nil
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	creating, give := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(r.ctx, func() {
		time.AfterFunc(taskGrace, func() { give(context.Cause(r.ctx)) })
	})
	s.links.hold(k, l, 1)
	source, err := l.send(creating, x)
	if err != nil {
		s.links.hold(k, l, -1)
		stop()
		give(err)
		r.cancel(err)
		return nil, err
	}
	r.asker = source
	s.tasks.add(r)
	if !s.life.run(func() {
		defer give(nil)
		defer stop()
		r.run(rpc.NewReply(source))
	}) {
		_ = source.Close()
		give(errClosed)
		r.cancel(errClosed)
		s.tasks.remove(r)
		s.links.hold(k, l, -1)
		return nil, s.fault.down(errClosed, "is shutting down")
	}
	return r, nil
}

// Next implements [rpc.Source].
func (r *taskRun) Next() (*rpc.Message, error) {
	for !r.over {
		m, err := r.take()
		if err != nil {
			r.try.End(err)
			return nil, err
		}
		r.try.Saw(m)
		if m.Method == mcp.Progress && !r.pace.rises(m) {
			continue
		}
		r.over = m.IsResponse()
		return withoutTaskMeta(m), nil
	}
	return nil, io.EOF
}

func (r *taskRun) take() (*rpc.Message, error) {
	select {
	case m := <-r.notes:
		return m, nil
	default:
	}
	select {
	case m := <-r.notes:
		return m, nil
	case m := <-r.out:
		return m, nil
	case <-r.ctx.Done():
		return nil, context.Cause(r.ctx)
	case <-r.done:
		if r.failed == nil { // there was a response, and nobody to take it any more
			return nil, r.s.fault.down(errClosed, "was shut down")
		}
		return nil, r.failed
	}
}

// Answer implements [rpc.Source].
func (r *taskRun) Answer(m *rpc.Message) error {
	r.mu.Lock()
	asker := r.asker
	r.mu.Unlock()
	if asker == nil {
		return rpc.ErrNoQuestion
	}
	return asker.Answer(m)
}

// Close implements [rpc.Source]. A task that goes on is cancelled; Close waits for that,
// because the link may go next.
func (r *taskRun) Close() error {
	r.try.Leave()
	r.cancel(errCallClosed)
	timer := time.NewTimer(taskGrace + respondTimeout)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
	}
	return nil
}

// run makes the requests of the task until there is a response.
func (r *taskRun) run(reply *rpc.Reply) {
	defer close(r.done)
	defer r.s.tasks.remove(r)
	defer r.s.links.hold(r.key, r.link, -1)
	m, err := r.relay(reply)
	r.ask(nil)
	_ = reply.Close()
	if err != nil {
		r.failed = err
		return
	}
	t, ok := createdTask(m)
	if !ok {
		r.emit(m) // an error, or a server that does without a task
		return
	}
	if m, r.failed = r.follow(t); m != nil {
		r.emit(m)
		return
	}
	if _, lost := errors.AsType[*stale](r.failed); !lost && !t.over {
		r.stopTask(t.id)
	}
}

// ask notes who is to get answers.
func (r *taskRun) ask(source rpc.Source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asker = source
}

// relay passes on what comes before a response, and returns that.
func (r *taskRun) relay(reply *rpc.Reply) (*rpc.Message, error) {
	for {
		m, err := reply.Next()
		if err != nil {
			return nil, err
		}
		own := m.Clone()
		if m.IsResponse() {
			return own, nil
		}
		if !r.emit(own) && own.IsRequest() {
			_ = reply.Answer(refusal(own.ID)) // nobody is there any more
		}
	}
}

// emit gives a message to Next, and reports whether that took it.
func (r *taskRun) emit(m *rpc.Message) bool {
	select {
	case r.out <- m:
		return true
	case <-r.ctx.Done():
		return false
	case <-r.s.life.Done():
		return false
	}
}
