package gateway

import (
	"context"
	"fmt"
	"slices"

	"github.com/headgate/headgate/config"
	router "github.com/headgate/headgate/router/model"
	"github.com/headgate/headgate/router/route"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream/model"
)

// modelMember is a model. Generations whose configuration has it in the same way share it.
type modelMember struct {
	*model.Pool
	*tenure
	print string // of the configuration that it was made of
}

// Handle implements [rpc.Handler].
func (m *modelMember) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	return m.serve(ctx, c)
}

// poolsOf makes the models of a generation, but for those that another one has in the same way.
func (g *Gateway) poolsOf(n, old *generation) error {
	for _, cfg := range n.cfg.Models {
		if cfg.Disabled != "" {
			g.log.Debug("model disabled", "model", cfg.Name, "reason", cfg.Disabled)
			continue
		}
		print := modelPrint(n.cfg, cfg)
		m := old.pool(cfg.Name)
		if m == nil || m.print != print {
			pool, err := g.newModel(n.cfg, cfg)
			if err != nil {
				return fmt.Errorf("model %q: %w", cfg.Name, err)
			}
			m = &modelMember{Pool: pool, tenure: newTenure(pool, g.movedModel(cfg.Name)), print: print}
		}
		n.pools = append(n.pools, m)
	}
	return nil
}

// newModel makes the pool of a model.
func (g *Gateway) newModel(cfg *config.Config, m config.Model) (*model.Pool, error) {
	log := g.logOf("model")
	return model.NewPool(m, model.PoolDeps{
		Log: log, Life: g.life, Rank: g.priority,
		Open: func(b config.ModelBackend) (model.Backend, error) {
			return model.NewBackend(b, model.BackendDeps{
				Model: m.Name, Log: log, MaxResult: int64(cfg.Bounds.Result), Agent: "headgate/" + g.version, Tool: rpc.HandlerFunc(g.modelTool),
				Tokens: g.tokens.Tokens,
			})
		},
	})
}

// modelTool calls a tool that is a model's backend. Whoever may use the model may use it, since the configuration says so.
func (g *Gateway) modelTool(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	if h := g.generation().handlers[c.Target.Upstream]; h != nil {
		return h.Handle(ctx, c)
	}
	err := rpc.Errorf(rpc.UpstreamDown, "upstream %q is not here", c.Target.Upstream)
	err.Upstream, err.NotRun = c.Target.Upstream, true
	return nil, err
}

// modelPrint is the fingerprint of all that a model's pool depends on. What clients are told of it is something else, and each of
// its backends can come and go.
func modelPrint(cfg *config.Config, m config.Model) string {
	limited := !slices.ContainsFunc(m.Enabled(), func(b config.ModelBackend) bool { return b.MaxInFlight == 0 })
	m.Aliases, m.Context, m.Price, m.Labels, m.Backends = nil, 0, config.Price{}, nil, nil
	return fmt.Sprint(config.Fingerprint(config.SettingsOf(m)), cfg.Bounds.Result, limited)
}

// pool returns the model of a name in the configuration; nil if there is none.
func (n *generation) pool(name string) *modelMember {
	if n == nil {
		return nil
	}
	i := slices.IndexFunc(n.pools, func(m *modelMember) bool { return m.Name() == name })
	if i < 0 {
		return nil
	}
	return n.pools[i]
}

// modelConfig returns the configuration of a model by the name of its entry.
func (n *generation) modelConfig(name string) *config.Model {
	i := slices.IndexFunc(n.cfg.Models, func(m config.Model) bool { return m.Name == name })
	return &n.cfg.Models[i]
}

// movedModel serves a call that was on its way to a model when that ended: what has its name now gets it.
func (g *Gateway) movedModel(name string) rpc.HandlerFunc {
	return func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if m := g.generation().pool(name); m != nil {
			return m.Handle(ctx, c)
		}
		err := rpc.Errorf(rpc.UpstreamDown, "model %q is not here any more", name)
		err.Upstream, err.NotRun = name, true
		return nil, err
	}
}

// beginModels has models loaded that are to be from the start.
func (n *generation) beginModels() {
	for _, m := range n.pools {
		m.Begin()
	}
}

// rebalanceModels gives the models of a generation, which others may have had before, the backends that it has for them.
func (g *Gateway) rebalanceModels(n *generation) {
	for _, m := range n.pools {
		leave, err := m.SetBackends(n.modelConfig(m.Name()).Enabled())
		if err != nil {
			g.log.Error("backends are what they were", "model", m.Name(), "error", err.Error())
		}
		if leave == nil {
			continue
		}
		g.parting.done.Go(func() {
			ctx, cancel := context.WithTimeout(g.life, n.cfg.Shutdown.Drain)
			defer cancel()
			leave(ctx)
		})
	}
	n.beginModels()
}

// retireModels ends models that no generation has any more, once nothing holds them, or after the time that calls in flight get.
func (g *Gateway) retireModels(old, next *generation) {
	for _, m := range old.pools {
		if next.pool(m.Name()) == m {
			continue
		}
		g.parting.done.Go(func() {
			pause(g.life, linger)
			ctx, cancel := context.WithTimeout(g.life, next.cfg.Shutdown.Drain)
			defer cancel()
			if !m.part(ctx) {
				g.log.Warn("model ends with calls in flight", "model", m.Name())
			}
			if err := m.Close(); err != nil {
				g.log.Warn("model did not end well", "model", m.Name(), "error", err.Error())
				return
			}
			g.log.Info("model ended", "model", m.Name())
		})
	}
}

// namesOf returns the models of a glob that no other entry serves.
func (n *generation) namesOf(m *modelMember) func() []string {
	return func() []string {
		return slices.DeleteFunc(slices.Clone(m.Names()), func(name string) bool {
			_, owner := config.FindModel(n.cfg.Models, name)
			return owner == nil || owner.Name != m.Name()
		})
	}
}

// modelRules are the routing rules about models; nil where there are none.
func (n *generation) modelRules() func(c *rpc.Call) (*rpc.Route, string) {
	rules := route.NewModels(n.cfg.Routes, func(name string) bool {
		_, m := config.FindModel(n.cfg.Models, name)
		return m != nil && m.Disabled == ""
	})
	if rules == nil {
		return nil
	}
	return func(c *rpc.Call) (*rpc.Route, string) {
		if rule := rules.Match(c); rule != nil {
			return &rule.Route, rule.Choose(c)
		}
		return nil, ""
	}
}

// modelEntries are the models of a generation, as they are found and shown.
func (n *generation) modelEntries() []router.Entry {
	out := make([]router.Entry, 0, len(n.pools))
	for _, m := range n.pools {
		cfg := n.modelConfig(m.Name())
		var names func() []string
		if cfg.Glob() {
			names = n.namesOf(m)
		}
		out = append(out, router.Entry{
			Name: cfg.Name, Aliases: cfg.Aliases, Context: int64(cfg.Context), Labels: cfg.Labels, Streams: true, Handler: m,
			Status: func() router.Status {
				s := m.Status()
				return router.Status{
					Available: s.Available, Warming: s.Warming, QueueDepth: s.Waiting, InFlight: s.InFlight, Healthy: s.Healthy, Total: s.Total,
				}
			},
			Place: m.Place, Names: names,
		})
	}
	return out
}

// otherModels returns the models that are not any more what they were: others may serve them.
func otherModels(old, next []config.Model) (names []string) {
	for i := range old {
		j := slices.IndexFunc(next, func(m config.Model) bool { return m.Name == old[i].Name })
		if j < 0 || config.Fingerprint(config.SettingsOf(old[i])) != config.Fingerprint(config.SettingsOf(next[j])) {
			names = append(names, old[i].Name)
		}
	}
	return names
}
