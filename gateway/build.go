package gateway

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/router"
	"github.com/headgate/headgate/router/bridge"
	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/router/subscription"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state/seal"
	"github.com/headgate/headgate/upstream"
	"github.com/headgate/headgate/upstream/mcpserver"
)

// build makes the parts and wires them, upstreams first. Each part registers how it
// is stopped right after it is made.
func (g *Gateway) build(ctx context.Context, opts Options) error {
	keys, err := keyring(g.cfg.DataDir)
	if err != nil {
		return err
	}
	if err := g.buildUpstreams(opts); err != nil {
		return err
	}
	if err := g.openState(); err != nil {
		return err
	}
	if err := g.buildPolicies(ctx); err != nil {
		return err
	}
	g.sessions = session.New(session.Config{
		Idle: g.cfg.Sessions.Idle, Max: g.cfg.Sessions.Max, InFlight: g.cfg.Bounds.PerSessionInFlight, Store: g.rememberedSessions(),
	}, keys, g.log)
	g.onStop("sessions", func(ctx context.Context) error { return g.sessions.Close(ctx) })

	if err := g.openPins(); err != nil {
		return err
	}
	g.bridge = bridge.New(bridge.Config{}, keys, g.log)
	g.onStop("parked calls", g.bridge.Close)
	upstreams := make(map[string]rpc.Handler, len(g.servers))
	titles := make(map[string]string, len(g.servers))
	sources := make([]catalog.Source, 0, len(g.servers))
	for _, s := range g.servers {
		h := g.bridge.Cross(s)
		upstreams[s.Name()], titles[s.Name()] = g.pins.Gate(s.Name(), h), g.upstream(s.Name()).Title()
		sources = append(sources, g.pinned(g.source(s, h)))
	}
	g.catalog = catalog.New(ctx, sources, keys, g.log)
	if g.filtersLists() {
		g.catalog.ShowOnly(g.sees)
	}
	g.onStop("catalogue", func(context.Context) error { g.catalog.Close(); return nil })
	g.watchPins(ctx)

	views := g.views()
	g.buildSubscriptions(views)
	g.router = router.New(views, router.Deps{
		Catalog: g.catalog, Upstreams: upstreams, Holder: g.sessions, Subscriptions: g.subscriptions, Keys: keys, Info: g.info,
		Titles: titles, MayRead: g.mayRead,
	})
	g.wireNotices(ctx, views)
	return g.buildGate()
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

func (g *Gateway) buildUpstreams(opts Options) error {
	g.http = upstream.NewClient(upstream.ClientConfig{})
	g.onStop("upstream connections", func(context.Context) error { g.http.CloseIdle(); return nil })
	deps := mcpserver.Deps{
		Log: g.log, HTTP: g.http, Identity: mcpserver.Identity{Name: "headgate", Version: opts.Version},
		Environ: opts.Environ, MaxResult: int64(g.cfg.Bounds.Result),
	}
	for _, u := range g.cfg.Upstreams {
		if u.Disabled != "" {
			g.log.Debug("upstream disabled", "upstream", u.Name, "reason", u.Disabled)
			continue
		}
		s, err := mcpserver.New(u, deps)
		if err != nil {
			return fmt.Errorf("upstream %q: %w", u.Name, err)
		}
		g.servers = append(g.servers, s)
		g.onStop("upstream "+u.Name, s.Close)
	}
	return nil
}

func (g *Gateway) upstream(name string) config.Upstream {
	i := slices.IndexFunc(g.cfg.Upstreams, func(u config.Upstream) bool { return u.Name == name })
	return g.cfg.Upstreams[i]
}

// source shows an upstream to the catalogue.
func (g *Gateway) source(s *mcpserver.Server, h rpc.Handler) catalog.Source {
	var unsaid time.Duration
	if g.cfg.Cache != nil {
		unsaid = g.cfg.Cache.Lists.TTL
	}
	return catalog.Source{
		Name: s.Name(), Handler: h, Allows: g.upstream(s.Name()).Tools.Allows, Unsaid: unsaid,
		Describe: func(ctx context.Context) (catalog.Description, error) {
			d, err := s.Describe(ctx)
			return catalog.Description{
				Era: d.Era, HTTP: d.Transport == "http", Server: nameOf(d.ServerInfo), Capabilities: d.Capabilities, Instructions: d.Instructions,
			}, err
		},
	}
}

// buildSubscriptions makes what tells clients of changes. It finds resources through
// the router, which is made after it.
func (g *Gateway) buildSubscriptions(views []catalog.View) {
	tellers := make(map[string]subscription.Upstream, len(g.servers))
	for _, s := range g.servers {
		tellers[s.Name()] = s
	}
	g.subscriptions = subscription.New(subscription.Deps{
		Log: g.log, Upstreams: tellers, Post: g.sessions.Post,
		Shows: func(c *rpc.Call, upstream, own string) bool {
			return g.mayRead(c, upstream, own) && slices.ContainsFunc(views, func(v catalog.View) bool { return v.Endpoint == c.Endpoint && v.Has(upstream) })
		},
		Store: g.sessions,
		Task:  func(c *rpc.Call, id string) *rpc.Target { return g.router.Task(c, id) },
		Expose: func(ctx context.Context, c *rpc.Call, upstream string, m *rpc.Message) *rpc.Message {
			return g.router.ExposeTask(ctx, c, upstream, m)
		},
		Locate: g.locate,
	})
}

// views are the configured endpoints and one for each upstream, which renames
// nothing. An endpoint that is configured at the path of an upstream replaces it.
func (g *Gateway) views() []catalog.View {
	var out []catalog.View
	for _, e := range g.cfg.Endpoints {
		out = append(out, catalog.View{
			Endpoint: e.Path, Upstreams: e.Upstreams, Prefix: catalog.Prefix(e.Prefix), Allows: e.Tools.Allows,
		})
	}
	for _, s := range g.servers {
		path := "/mcp/" + s.Name()
		if slices.ContainsFunc(out, func(v catalog.View) bool { return v.Endpoint == path }) {
			continue
		}
		out = append(out, catalog.View{
			Endpoint: path, Upstreams: []string{s.Name()}, Single: true, Allows: func(string) bool { return true },
		})
	}
	return out
}
