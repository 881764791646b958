package gateway

import (
	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// meter is what limits have to know of the calls of models.
func (g *Gateway) meter(cfg *config.Config) policy.Meter {
	return policy.Meter{
		Demand: g.demand, Price: pricesOf(cfg.Models), Stream: inChunks, Learn: g.tokens.Observe,
		Collect: func(c *rpc.Call, r *rpc.Reply) *rpc.Reply {
			return infer.Collect(r, c.Target.Canonical, int(cfg.Bounds.Result))
		},
	}
}

// demand is what an invoke asks of its model. Whatever its params say beside the prompt may become part of that.
func (g *Gateway) demand(c *rpc.Call) (policy.Demand, bool) {
	if c.Dialect != rpc.Infer || c.Method.Name != infer.Invoke {
		return policy.Demand{}, false
	}
	asked, err := infer.ReadInvocation(c.Message)
	if err != nil {
		return policy.Demand{}, false // it was refused when it was resolved
	}
	size := len(c.Message.Params)
	prompt := max(g.tokens.Tokens(c.Target.Canonical, size), infer.EstimateTokens(size)) // the latter is what is charged where nobody counts
	return policy.Demand{Bytes: size, Input: prompt, Output: asked.Most, Streamed: asked.Stream}, true
}

// pricesOf returns what models cost, by their entry or by any name that rules know them by.
func pricesOf(models []config.Model) func(string) policy.Price {
	prices := make(map[string]policy.Price, len(models))
	for i := range models {
		p := models[i].Price
		prices[models[i].Name] = policy.Price{Input: int64(p.Input), Output: int64(p.Output), Cached: int64(p.Cached)}
	}
	return func(name string) policy.Price {
		if p, ok := prices[name]; ok {
			return p
		}
		if _, entry := config.FindModel(models, name); entry != nil {
			return prices[entry.Name]
		}
		return policy.Price{}
	}
}

// inChunks returns an invoke that has its answer streamed.
func inChunks(c *rpc.Call) *rpc.Call {
	out := *c
	m := c.Message.Fork()
	m.Set("stream", []byte("true"))
	out.Message = m.Clone()
	return &out
}

// paid reports whether the budgets have been paid for a call, or will be: by another one that it goes on with, or by the run of
// the job that it asks for.
func (g *Gateway) paid(c *rpc.Call) bool {
	if c.Dialect == rpc.Infer {
		return c.Method.Name == infer.InvokeAsync
	}
	return g.bridge.Continues(c)
}
