package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/router"
	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/router/route"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream/mcpserver"
)

// generation is what is made out of one configuration and needs no end: what it says of calls, wholly. It is made
// before it is used and never changes after that. What lasts longer (the engine, sessions, snapshots, parked calls,
// connections) belongs to the [Gateway], and what it needs of that it shares.
//
// A call goes through the generation it began with to its end.
type generation struct {
	cfg     *config.Config
	servers []*mcpserver.Pool // enabled upstreams, in order
	origins policy.Origins
	proxies auth.Proxies
	gate    *auth.Gate // nil where nobody is asked who they are
	access  *policy.Access
	limits  *policy.Limits
	cache   *policy.Cache // nil where nothing is cached
	audit   rpc.Middleware
	memory  *policy.Overload // nil where it is not known how much there is
	views   []catalog.View
	router  *router.Router

	remote rpc.Handler // of clients that connect
	local  rpc.Handler // of the client that started the process, who is not asked who it is
}

// generation returns what calls that begin now go through.
func (g *Gateway) generation() *generation { return g.now.Load() }

// serves reports whether an endpoint has this path.
func (g *Gateway) serves(path string) bool { return g.generation().router.Serves(path) }

// allowsOrigin reports whether pages of an origin may use the gateway.
func (g *Gateway) allowsOrigin(origin string) bool { return g.generation().origins.Allows(origin) }

// remote passes the calls of clients that connect to the generation of the moment.
func (g *Gateway) remote(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	return g.generation().remote.Handle(ctx, c)
}

// local is remote for the client that started the process.
func (g *Gateway) local(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	return g.generation().local.Handle(ctx, c)
}

// generate makes a generation of a configuration. Nothing that is in use changes by it.
func (g *Gateway) generate(cfg *config.Config, servers []*mcpserver.Pool) (n *generation, err error) {
	n = &generation{
		cfg: cfg, servers: servers, access: policy.NewAccess(cfg.Access, cfg.Auth == nil), limits: &policy.Limits{}, cache: g.cache,
		origins: policy.Origins{Allowed: cfg.AllowedOrigins, Loopback: isLoopback(cfg.Listen)},
	}
	if n.proxies, err = auth.NewProxies(cfg.TrustedProxies); err != nil {
		return nil, fmt.Errorf("trusted_proxies: %w", err)
	}
	if g.engine == nil && (len(cfg.Limits) > 0 || cfg.Cache != nil) {
		return nil, errors.New("limits and cache need a data_dir")
	}
	if len(cfg.Limits) > 0 {
		if n.limits, err = policy.NewLimits(cfg.Limits, g.engine.Quota(), g.log); err != nil {
			return nil, err
		}
	}
	if n.audit, err = g.audits(cfg); err != nil {
		return nil, err
	}
	if n.gate, err = g.newGate(cfg); err != nil {
		return nil, err
	}
	n.memory = g.watchMemory(cfg)
	n.views = n.viewsOf()
	n.router = router.New(n.views, g.routed(n))
	n.remote, n.local = g.chain(n, n.gate), g.chain(n, nil)
	return n, nil
}

// routed is what the router of a generation passes calls to.
func (g *Gateway) routed(n *generation) router.Deps {
	upstreams := make(map[string]rpc.Handler, len(n.servers))
	titles := make(map[string]string, len(n.servers))
	for _, s := range n.servers {
		upstreams[s.Name()] = g.pins.Gate(s.Name(), g.queued(s))
		titles[s.Name()] = n.upstream(s.Name()).Title()
	}
	serves := func(upstream string) bool { return upstreams[upstream] != nil }
	return router.Deps{
		Routes: route.New(n.cfg.Routes, serves), Mirrors: g.mirrors, Holds: g.bridge.Holds,
		Catalog: g.catalog, Upstreams: upstreams, Holder: g.sessions, Subscriptions: g.subscriptions, Keys: g.keys, Info: g.info,
		Titles: titles, MayRead: n.mayRead,
	}
}

// upstream returns the configuration of an upstream.
func (n *generation) upstream(name string) config.Upstream {
	i := slices.IndexFunc(n.cfg.Upstreams, func(u config.Upstream) bool { return u.Name == name })
	return n.cfg.Upstreams[i]
}

// viewsOf are the configured endpoints and one for each upstream, which renames
// nothing. An endpoint that is configured at the path of an upstream replaces it.
func (n *generation) viewsOf() []catalog.View {
	var out []catalog.View
	for _, e := range n.cfg.Endpoints {
		out = append(out, catalog.View{
			Endpoint: e.Path, Upstreams: e.Upstreams, Prefix: catalog.Prefix(e.Prefix), Allows: e.Tools.Allows, Sees: n.seer(),
		})
	}
	for _, s := range n.servers {
		path := "/mcp/" + s.Name()
		if slices.ContainsFunc(out, func(v catalog.View) bool { return v.Endpoint == path }) {
			continue
		}
		out = append(out, catalog.View{
			Endpoint: path, Upstreams: []string{s.Name()}, Single: true, Allows: func(string) bool { return true }, Sees: n.seer(),
		})
	}
	return out
}
