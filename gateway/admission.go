package gateway

import (
	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// priority says whether a caller's calls come before others', by the generation of the moment.
func (g *Gateway) priority(p *rpc.Principal) config.Priority {
	return config.PriorityOf(g.generation().cfg.Priorities, p.Org, p.Team, p.Key, p.User)
}

// retries is what makes calls of an upstream again; nil where none are.
func retries(u config.Upstream) upstream.Retry {
	if r := u.Retries(); r.Attempts > 1 {
		return upstream.NewRetries(r)
	}
	return nil
}

// Queues returns what waits for each upstream and each model, in the order of the configuration.
func (g *Gateway) Queues() []upstream.QueueStatus {
	n := g.generation()
	out := make([]upstream.QueueStatus, 0, len(n.servers)+len(n.pools))
	for _, m := range n.servers {
		out = append(out, m.queue.Status())
	}
	for _, m := range n.pools {
		out = append(out, m.Queue())
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
