package mcpserver

import (
	"strconv"
	"sync"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// withoutTaskMeta takes out which task of the server's a message belongs to.
func withoutTaskMeta(m *rpc.Message) *rpc.Message {
	if _, ok := m.Meta(mcp.MetaTask); !ok {
		return m
	}
	text, _ := m.Get("_meta")
	if o, err := rpc.ReadObject(text); err == nil && o.Len() == 1 {
		m.Drop("_meta")
	} else {
		m.DropMeta(mcp.MetaTask)
	}
	return m
}

// tasks are those that run, by the exchange that began them: progress goes on to have its
// token when that has long been answered. The zero value is ready.
type tasks struct {
	mu  sync.Mutex
	all map[taskKey]*taskRun
}

type taskKey struct {
	link link
	id   uint64
}

func (t *tasks) add(r *taskRun) {
	if r.begun.token == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = make(map[taskKey]*taskRun)
	}
	t.all[taskKey{r.link, r.begun.id}] = r
}

func (t *tasks) remove(r *taskRun) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, taskKey{r.link, r.begun.id})
}

// progress passes on a notification of no call in flight, if a task has its token.
func (t *tasks) progress(l link, m *rpc.Message) {
	t.mu.Lock()
	r := t.all[taskKey{l, progressOf(m)}]
	t.mu.Unlock()
	if r != nil {
		r.note(m.Clone())
	}
}

// say tells the client what the server says of the task.
func (r *taskRun) say(message string) {
	if message == "" || message == r.said || r.begun.token == nil {
		return
	}
	r.said = message
	r.note(rpc.NewNotification(mcp.Progress, append(rpc.AppendString([]byte(`{"message":`), message), '}')))
}

// note has progress passed on, unless too much of it waits.
func (r *taskRun) note(m *rpc.Message) {
	m.Set(mcp.MetaProgress, r.begun.token)
	select {
	case r.notes <- m:
	default:
	}
}

// pace keeps progress rising, as it must (MCP 2025-11-25, Progress), where words of the
// server's about a task are put between its own steps.
type pace struct{ last float64 }

// rises reports whether a notification does not go back behind the last one. One that has
// no number gets the next; what is no number is the client's to judge.
func (p *pace) rises(m *rpc.Message) bool {
	text, ok := m.Get("progress")
	value, err := strconv.ParseFloat(string(text), 64)
	if !ok {
		value, err = p.last+1, nil
		m.Set("progress", strconv.AppendFloat(nil, value, 'g', -1, 64))
	}
	if err != nil || value < p.last {
		return err != nil
	}
	p.last = value
	return true
}
