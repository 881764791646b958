package gateway

import (
	"context"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
	"github.com/headgate/headgate/upstream/mcpserver"
)

// member is an upstream. Generations whose configuration has it in the same way share it.
type member struct {
	*mcpserver.Pool
	*tenure
	print string              // of the configuration that it was made of
	queue *upstream.Admission // of the calls that wait for it
}

// newMember makes a member of the server that a part of the configuration describes.
func (g *Gateway) newMember(s *mcpserver.Pool, u config.Upstream, print string) *member {
	m := &member{Pool: s, print: print, queue: upstream.NewAdmission(u, g.priority)}
	m.tenure = newTenure(m.queue.Before(s), g.moved(u.Name))
	g.hear(m)
	return m
}

// Handle implements [rpc.Handler].
func (m *member) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	return m.serve(ctx, c)
}
