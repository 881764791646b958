package gateway

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/router/bridge"
	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/router/route"
	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/router/subscription"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state/seal"
	"github.com/headgate/headgate/upstream"
	"github.com/headgate/headgate/upstream/mcpserver"
)

// build makes the parts and wires them, upstreams first, and of them the first generation. Each part registers
// how it is stopped right after it is made.
func (g *Gateway) build(ctx context.Context, cfg *config.Config, opts Options) (err error) {
	if g.keys, err = keyring(cfg.DataDir); err != nil {
		return err
	}
	servers, err := g.buildUpstreams(cfg, opts)
	if err != nil {
		return err
	}
	if err := g.openState(cfg); err != nil {
		return err
	}
	g.openCache(ctx, cfg)
	if err := g.openAudit(cfg); err != nil {
		return err
	}
	if err := g.measure(cfg); err != nil {
		return err
	}
	g.sessions = session.New(session.Config{
		Ended: g.measures.sessionEnded(), Idle: cfg.Sessions.Idle, Max: cfg.Sessions.Max, InFlight: cfg.Bounds.PerSessionInFlight, Store: g.rememberedSessions(),
	}, g.keys, g.log)
	g.onStop("sessions", func(ctx context.Context) error { return g.sessions.Close(ctx) })

	if err := g.openPins(cfg); err != nil {
		return err
	}
	g.bridge = bridge.New(bridge.Config{}, g.keys, g.log)
	g.onStop("parked calls", g.bridge.Close)
	sources := make([]catalog.Source, 0, len(servers))
	for _, s := range servers {
		sources = append(sources, g.pinned(g.source(cfg, s, g.queued(s))))
	}
	g.catalog = catalog.New(ctx, sources, g.keys, g.log)
	g.onStop("catalogue", func(context.Context) error { g.catalog.Close(); return nil })
	g.mirrors = route.NewMirrors(ctx, g.log)
	g.onStop("mirrored calls", g.mirrors.Close)
	g.watchPins(ctx)

	g.buildSubscriptions(servers)
	g.wireNotices(ctx, servers)
	first, err := g.generate(cfg, servers)
	if err != nil {
		return err
	}
	g.now.Store(first)
	return nil
}

func keyring(dir string) (*seal.Keyring, error) {
	if dir == "" {
		return seal.Ephemeral()
	}
	keys, err := seal.Load(dir)
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	return keys, nil
}

func (g *Gateway) buildUpstreams(cfg *config.Config, opts Options) ([]*mcpserver.Pool, error) {
	g.http = upstream.NewClient(upstream.ClientConfig{})
	g.onStop("upstream connections", func(context.Context) error { g.http.CloseIdle(); return nil })
	deps := mcpserver.Deps{
		Log: g.log, HTTP: g.http, Identity: mcpserver.Identity{Name: "headgate", Version: opts.Version},
		Environ: opts.Environ, MaxResult: int64(cfg.Bounds.Result),
	}
	var servers []*mcpserver.Pool
	for _, u := range cfg.Upstreams {
		if u.Disabled != "" {
			g.log.Debug("upstream disabled", "upstream", u.Name, "reason", u.Disabled)
			continue
		}
		s, err := mcpserver.NewPool(u, deps, nil)
		if err != nil {
			return nil, fmt.Errorf("upstream %q: %w", u.Name, err)
		}
		servers = append(servers, s)
		g.admit(u)
		g.onStop("upstream "+u.Name, s.Close)
	}
	return servers, nil
}

// source shows an upstream to the catalogue.
func (g *Gateway) source(cfg *config.Config, s *mcpserver.Pool, h rpc.Handler) catalog.Source {
	var unsaid time.Duration
	if cfg.Cache != nil {
		unsaid = cfg.Cache.Lists.TTL
	}
	i := slices.IndexFunc(cfg.Upstreams, func(u config.Upstream) bool { return u.Name == s.Name() })
	return catalog.Source{
		Name: s.Name(), Handler: h, Allows: cfg.Upstreams[i].Tools.Allows, Unsaid: unsaid,
		Describe: func(ctx context.Context) (catalog.Description, error) {
			d, err := s.Describe(ctx)
			return catalog.Description{
				Era: d.Era, HTTP: d.Transport == "http", Server: nameOf(d.ServerInfo), Capabilities: d.Capabilities, Instructions: d.Instructions,
			}, err
		},
	}
}

// buildSubscriptions makes what tells clients of changes. What it asks of the configuration is asked of the
// generation of the moment: who listens outlives them.
func (g *Gateway) buildSubscriptions(servers []*mcpserver.Pool) {
	tellers := make(map[string]subscription.Upstream, len(servers))
	for _, s := range servers {
		tellers[s.Name()] = s
	}
	g.subscriptions = subscription.New(subscription.Deps{
		Log: g.log, Upstreams: tellers, Post: g.sessions.Post, Store: g.sessions,
		Shows: func(c *rpc.Call, upstream, own string) bool {
			n := g.generation()
			return n.mayRead(c, upstream, own) && slices.ContainsFunc(n.views, func(v catalog.View) bool { return v.Endpoint == c.Endpoint && v.Has(upstream) })
		},
		Task: func(c *rpc.Call, id string) *rpc.Target { return g.generation().router.Task(c, id) },
		Expose: func(ctx context.Context, c *rpc.Call, upstream string, m *rpc.Message) *rpc.Message {
			return g.generation().router.ExposeTask(ctx, c, upstream, m)
		},
		Locate: func(ctx context.Context, c *rpc.Call, uri string) *rpc.Target {
			return g.generation().locate(ctx, c, uri)
		},
	})
}
