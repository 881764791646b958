package gateway

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
	"github.com/headgate/headgate/upstream/mcpserver"
)

// member is an upstream. Generations whose configuration has it in the same way share it, and replies that are open
// hold it: one that no generation has any more ends when they have.
type member struct {
	*mcpserver.Pool
	print string              // of the configuration that it was made of
	queue *upstream.Admission // of the calls that wait for it
	next  rpc.Handler         // the server, behind the queue
	// instead serves calls of a generation that is over, which come when the member has ended.
	instead rpc.HandlerFunc

	held    atomic.Int64 // calls and replies that hold it; far below zero once it takes no more
	parting atomic.Bool
	free    chan struct{} // gets a value when nothing holds it while it parts
	leaving func()
}

// ended is what the count of a member that takes no more calls begins with.
const ended = math.MinInt64 / 2

// newMember makes a member of the server that a part of the configuration describes.
func (g *Gateway) newMember(s *mcpserver.Pool, u config.Upstream, print string) *member {
	m := &member{Pool: s, print: print, queue: upstream.NewAdmission(u, g.priority), instead: g.moved(u.Name), free: make(chan struct{}, 1)}
	m.next, m.leaving = m.queue.Before(s), m.leave
	g.hear(m)
	return m
}

// Handle implements [rpc.Handler].
func (m *member) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	if m.held.Add(1) <= 0 {
		m.leave()
		return m.instead(ctx, c)
	}
	served := false
	defer func() {
		if !served { // also where it panics
			m.leave()
		}
	}()
	reply, err := m.next.Handle(ctx, c)
	if err != nil {
		return nil, err
	}
	served = true
	reply.OnClose(m.leaving)
	return reply, nil
}

// leave is the end of a call.
func (m *member) leave() {
	if m.held.Add(-1) == 0 && m.parting.Load() {
		select {
		case m.free <- struct{}{}:
		default:
		}
	}
}

// part waits until nothing holds the member, or ctx ends, and lets it take no more calls. It reports whether nothing
// held it in the end.
func (m *member) part(ctx context.Context) bool {
	m.parting.Store(true)
	for !m.held.CompareAndSwap(0, ended) {
		select {
		case <-m.free:
		case <-ctx.Done():
			return m.held.Add(ended) == ended
		}
	}
	return true
}
