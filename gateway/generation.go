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
	"github.com/headgate/headgate/router/model"
	"github.com/headgate/headgate/router/modeltool"
	"github.com/headgate/headgate/router/pin"
	"github.com/headgate/headgate/router/route"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/telemetry"
)

// generation is what is made out of one configuration: what it says of calls, wholly. It is made
// before it is used and never changes after that. What lasts longer (the engine, sessions, snapshots, parked calls,
// connections) belongs to the [Gateway] or, as upstreams do, to all generations that have it.
//
// A call goes through the generation it began with to its end.
type generation struct {
	number   uint64 // rises with each that is used
	cfg      *config.Config
	settings []config.Setting // all of the configuration

	servers  []*member // enabled upstreams, in order
	handlers map[string]rpc.Handler
	lists    *catalog.Set
	modes    map[string]pin.Mode
	origins  policy.Origins
	proxies  auth.Proxies
	gate     *auth.Gate // nil where nobody is asked who they are
	access   *policy.Access
	limits   *policy.Limits
	cache    *policy.Cache // nil where nothing is cached
	audit    rpc.Middleware
	memory   *policy.Overload  // nil where it is not known how much there is
	tracer   *telemetry.Tracer // nil where nothing is traced
	views    []catalog.View
	router   *router.Router
	pools    []*modelMember // enabled models, in order
	models   *model.Router
	tools    map[string]*modeltool.Server // that show models, by the names that the catalogue knows them by

	remote rpc.Handler // of clients that connect
	local  rpc.Handler // of the client that started the process, who is not asked who it is
	inner  rpc.Handler // of calls that the gateway makes in the name of others
}

// generation returns what calls that begin now go through.
func (g *Gateway) generation() *generation { return g.now.Load() }

// serves reports whether an endpoint has this path.
func (g *Gateway) serves(path string) bool {
	return path == infer.Path || g.generation().router.Serves(path)
}

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

// generate makes a generation of a configuration, after another one if there is one. Nothing that is in use changes by
// it, and nothing is begun that would have to be ended: it can be dropped.
func (g *Gateway) generate(cfg *config.Config, old *generation) (n *generation, err error) {
	n = &generation{
		number: 1, cfg: cfg, settings: cfg.Settings(), modes: modesOf(cfg),
		access: policy.NewAccess(cfg.Access, cfg.Auth == nil), limits: &policy.Limits{},
		origins: policy.Origins{Allowed: cfg.AllowedOrigins, Loopback: isLoopback(cfg.Listen)},
	}
	if old != nil {
		n.number = old.number + 1
	}
	made := n
	defer func() {
		if err != nil {
			g.drop(made, old)
		}
	}()
	if err = g.membersOf(n, old); err != nil {
		return nil, err
	}
	if err = g.poolsOf(n, old); err != nil {
		return nil, err
	}
	if err = g.policies(n, old); err != nil {
		return nil, err
	}
	n.memory = g.watchMemory(cfg)
	n.tracer = g.newTracer(cfg)
	g.toolsOfModels(n)
	n.lists = g.catalog.Prepare(append(g.sources(n), g.toolSources(n)...))
	n.views = n.viewsOf()
	n.router = router.New(n.views, g.below(n))
	n.models = g.modelRouter(n)
	n.remote = n.byDialect(func(d *dialect) rpc.Handler { return g.chain(n, d, n.gate) })
	n.local = n.byDialect(func(d *dialect) rpc.Handler { return g.chain(n, d, nil) })
	n.inner = n.byDialect(func(d *dialect) rpc.Handler { return g.innerChain(n, d) })
	return n, nil
}

// policies makes what may refuse or answer calls.
func (g *Gateway) policies(n, old *generation) (err error) {
	cfg := n.cfg
	if n.proxies, err = auth.NewProxies(cfg.TrustedProxies); err != nil {
		return fmt.Errorf("trusted_proxies: %w", err)
	}
	if g.engine == nil && (len(cfg.Limits) > 0 || cfg.Cache != nil) {
		return errors.New("limits and cache need a data_dir")
	}
	if len(cfg.Limits) > 0 {
		if n.limits, err = policy.NewLimits(cfg.Limits, g.engine.Quota(), g.meter(cfg), g.logOf("limit")); err != nil {
			return err
		}
	}
	if n.audit, err = g.audits(cfg); err != nil {
		return err
	}
	if n.gate, err = g.gateOf(cfg, old); err != nil {
		return err
	}
	n.cache = g.cacheOf(cfg, old) // last, because it has something to be ended
	return nil
}

// below is what the router of a generation passes calls to.
func (g *Gateway) below(n *generation) router.Deps {
	n.handlers = make(map[string]rpc.Handler, len(n.servers))
	titles := make(map[string]string, len(n.servers))
	for _, m := range n.servers {
		n.handlers[m.Name()] = g.pins.Gate(m.Name(), n.modes[m.Name()], g.bridge.Cross(g.sampled(n, m)))
		titles[m.Name()] = n.upstream(m.Name()).Title()
	}
	for name, s := range n.tools {
		n.handlers[name] = g.bridge.Cross(s)
	}
	table := route.New(n.cfg.Routes, func(upstream string) bool { return n.handlers[upstream] != nil })
	if table == nil && g.routed {
		table = &route.Table{} // what goes on with a call that a rule has sent elsewhere goes there still
	}
	g.routed = table != nil
	return router.Deps{
		Routes: table, Mirrors: g.mirrors, Holds: g.bridge.Holds,
		Catalog: g.catalog, Upstreams: n.handlers, Former: g.former, Relocate: g.relocate, Holder: g.sessions, Subscriptions: g.subscriptions, Keys: g.keys,
		Info: g.info, Titles: titles, MayRead: n.mayRead,
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
	view := catalog.View{Version: n.number, Set: n.lists, Sees: n.seer()}
	var out []catalog.View
	for _, e := range n.cfg.Endpoints {
		v := view
		v.Endpoint, v.Upstreams, v.Prefix, v.Allows = e.Path, e.Upstreams, catalog.Prefix(e.Prefix), e.Tools.Allows
		if name := toolSource(e.Path); n.tools[name] != nil {
			v.Upstreams = append(slices.Clone(e.Upstreams), name)
		}
		out = append(out, v)
	}
	for _, m := range n.servers {
		v := view
		v.Endpoint, v.Upstreams, v.Single, v.Allows = "/mcp/"+m.Name(), []string{m.Name()}, true, func(string) bool { return true }
		if !slices.ContainsFunc(out, func(other catalog.View) bool { return other.Endpoint == v.Endpoint }) {
			out = append(out, v)
		}
	}
	return out
}
