package mcpserver

import (
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// together is how long a change of a list waits for the same change at other servers: they are told of once.
const together = 200 * time.Millisecond

// OnNotice sets who is told of notifications that belong to no call, as [Server.OnNotice] does.
func (p *Pool) OnNotice(f func(m *rpc.Message)) { p.notice.Store(&f) }

// noticed passes on a notification of one of the servers.
func (p *Pool) noticed(m *member, n *rpc.Message) {
	if !p.many.Load() {
		p.announce(n)
		return
	}
	switch n.Method {
	case mcp.ToolsChanged, mcp.PromptsChanged, mcp.ResourcesChanged:
		p.changes.add(n)
	case mcp.ResourceUpdated:
		if p.subs.hears(m) {
			p.announce(n)
		}
	case mcp.TaskChanged:
		p.announce(mark(n, "taskId", m.tag))
	default:
		p.announce(n)
	}
}

func (p *Pool) announce(n *rpc.Message) {
	if f := p.notice.Load(); f != nil {
		(*f)(n)
	}
}

// changes are the lists that are about to be told of.
type changes struct {
	p  *Pool
	mu sync.Mutex
	// waiting holds the timers by method.
	waiting map[string]*time.Timer
	over    bool
}

// add tells of a change soon, unless that is to be done anyway.
func (c *changes) add(n *rpc.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.waiting[n.Method] != nil {
		return
	}
	if c.waiting == nil {
		c.waiting = map[string]*time.Timer{}
	}
	c.waiting[n.Method] = time.AfterFunc(together, func() {
		c.mu.Lock()
		delete(c.waiting, n.Method)
		over := c.over
		c.mu.Unlock()
		if !over {
			c.p.announce(n)
		}
	})
}

// close tells of nothing any more.
func (c *changes) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for _, timer := range c.waiting {
		timer.Stop()
	}
}
