package gateway

import (
	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
	"github.com/headgate/headgate/upstream/mcpserver"
)

// admit makes what bounds the calls that run on an upstream. It lasts as long as the upstream: whoever waits there waits
// on, whatever else the configuration changes.
func (g *Gateway) admit(u config.Upstream) {
	g.queues[u.Name] = upstream.NewAdmission(u, g.priority)
}

// priority says whether a caller's calls come before others', by the generation of the moment.
func (g *Gateway) priority(p *rpc.Principal) config.Priority {
	return config.PriorityOf(g.generation().cfg.Priorities, p.Org, p.Team, p.Key, p.User)
}

// queued is an upstream as calls reach it: its queue first, and before that what lets the eras understand each other.
func (g *Gateway) queued(s *mcpserver.Pool) rpc.Handler {
	return g.bridge.Cross(g.queues[s.Name()].Before(s))
}

// Queues returns what waits for each upstream, in the order of the configuration.
func (g *Gateway) Queues() []upstream.QueueStatus {
	servers := g.generation().servers
	out := make([]upstream.QueueStatus, 0, len(servers))
	for _, s := range servers {
		out = append(out, g.queues[s.Name()].Status())
	}
	return out
}

// watchMemory makes what refuses calls while memory is short. It goes on counting over generations that leave it as it is.
func (g *Gateway) watchMemory(cfg *config.Config) *policy.Overload {
	if last := g.generation(); last != nil && last.cfg.Overload == cfg.Overload {
		return last.memory
	}
	return policy.NewOverload(cfg.Overload, g.priority)
}

// Memory returns what is known of the memory that calls may use.
func (g *Gateway) Memory() policy.OverloadStatus { return g.generation().memory.Status() }
