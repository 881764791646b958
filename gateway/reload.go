package gateway

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/router/conversation"
	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state"
)

const (
	// warmTime is how long a reload waits for upstreams that are new to say what they have. Those that take longer are
	// there nevertheless.
	warmTime = 3 * time.Second
	// gateTime is how long calls may still be at a gate whose place another one has taken.
	gateTime = 10 * time.Second
)

// fixedPart is a part of a configuration that is taken up at the start and not later.
type fixedPart struct {
	name string
	part func(*config.Config) any
	keep func(to, from *config.Config)
}

var fixed = []fixedPart{
	{"listen", func(c *config.Config) any { return c.Listen }, func(to, from *config.Config) { to.Listen = from.Listen }},
	{"admin", func(c *config.Config) any { return c.Admin }, func(to, from *config.Config) { to.Admin = from.Admin }},
	{"tls", func(c *config.Config) any { return c.TLS }, func(to, from *config.Config) { to.TLS = from.TLS }},
	{"data_dir", func(c *config.Config) any { return c.DataDir }, func(to, from *config.Config) { to.DataDir = from.DataDir }},
	{"audit", func(c *config.Config) any { return c.Audit }, func(to, from *config.Config) { to.Audit = from.Audit }},
	{"telemetry", func(c *config.Config) any { return c.Telemetry }, func(to, from *config.Config) { to.Telemetry = from.Telemetry }},
}

// Outcome is what a reload came to.
type Outcome struct {
	Changes []config.Change // what took effect; none if nothing did
	Restart []string        // options that are what they were until the next start
	Added   []string        // upstreams
	Removed []string
	Renewed []string // that are connected to anew
}

// Reload puts another configuration in force. Calls go on through the one they began with, and what outlives it
// (sessions, lists, parked calls, subscriptions, counts) goes on. It fails, and then nothing has changed, where the
// configuration cannot be used. One reload runs at a time.
func (g *Gateway) Reload(ctx context.Context, cfg *config.Config) (Outcome, error) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	if g.stopping.Load() {
		return Outcome{}, rpc.Errorf(rpc.Draining, "the gateway is shutting down")
	}
	old := g.generation()
	cfg, out := withFixed(old.cfg, cfg)
	if err := cfg.CheckExposure(); err != nil {
		return Outcome{}, err
	}
	if out.Changes = config.Compare(old.settings, cfg.Settings()); len(out.Changes) == 0 {
		return out, nil
	}
	next, err := g.generate(cfg, old)
	if err != nil {
		return Outcome{}, err
	}
	fresh, gone := differ(old.servers, next.servers), differ(next.servers, old.servers)
	out.name(fresh, gone)
	g.pins.Configure(union(old.modes, next.modes)) // whoever is listed must be known
	g.warm(ctx, next, fresh)
	g.swap(old, next)
	g.rebalance(next)
	g.rebalanceModels(next)
	g.retire(gone, old, cfg.Shutdown.Drain)
	g.retireModels(old, next)
	if next.cache != nil {
		for _, m := range gone {
			next.cache.Invalidate(g.life, m.Name(), "")
		}
		for _, name := range otherModels(old.cfg.Models, next.cfg.Models) {
			next.cache.Invalidate(g.life, name, "")
		}
	}
	g.retirePolicies(old, next)
	g.tell(ctx, old, next)
	return out, nil
}

// withFixed returns a configuration with the parts of another one that cannot be changed while the gateway runs, and
// which of them are not what the file wants.
func withFixed(old, cfg *config.Config) (*config.Config, Outcome) {
	next, out := *cfg, Outcome{}
	for _, f := range fixed {
		if !reflect.DeepEqual(f.part(old), f.part(cfg)) {
			out.Restart = append(out.Restart, f.name)
			f.keep(&next, old)
		}
	}
	if old.Cache != nil && cfg.Cache != nil && old.Cache.MaxSize != cfg.Cache.MaxSize {
		kept := *cfg.Cache
		kept.MaxSize = old.Cache.MaxSize
		next.Cache, out.Restart = &kept, append(out.Restart, "cache.max_size")
	}
	// Who has to show a certificate is agreed when clients connect.
	if old.TLS != nil && old.TLS.ClientCA != "" && (old.Auth == nil) != (cfg.Auth == nil) {
		next.Auth, out.Restart = old.Auth, append(out.Restart, "auth")
	}
	return &next, out
}

// differ returns the members that others are not among.
func differ(others, members []*member) []*member {
	return slices.DeleteFunc(slices.Clone(members), func(m *member) bool { return slices.Contains(others, m) })
}

func union[K comparable, V any](a, b map[K]V) map[K]V {
	out := make(map[K]V, len(a)+len(b))
	for _, each := range []map[K]V{a, b} {
		maps.Copy(out, each)
	}
	return out
}

// name says which upstreams came, went or were replaced.
func (o *Outcome) name(fresh, gone []*member) {
	for _, m := range fresh {
		if slices.ContainsFunc(gone, func(other *member) bool { return other.Name() == m.Name() }) {
			o.Renewed = append(o.Renewed, m.Name())
		} else {
			o.Added = append(o.Added, m.Name())
		}
	}
	for _, m := range gone {
		if !slices.Contains(o.Renewed, m.Name()) {
			o.Removed = append(o.Removed, m.Name())
		}
	}
}

// Sections returns the parts of the file that changed beside upstreams.
func (o *Outcome) Sections() []string {
	var out []string
	for _, c := range o.Changes {
		section, _, _ := strings.Cut(c.Path, ".")
		if section != "upstreams" && !slices.Contains(out, section) {
			out = append(out, section)
		}
	}
	return out
}

// warm has new upstreams listed before anybody needs them, for a bounded time.
func (g *Gateway) warm(ctx context.Context, next *generation, fresh []*member) {
	if len(fresh) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, warmTime)
	defer cancel()
	defer context.AfterFunc(g.waits, cancel)()
	names := make([]string, len(fresh))
	for i, m := range fresh {
		names[i] = m.Name()
	}
	next.lists.Warm(ctx, names...)
}

// swap makes a generation the one that calls begin with. Lists come first, so that such calls find what is known.
func (g *Gateway) swap(old, next *generation) {
	g.catalog.Adopt(next.lists)
	g.now.Store(next)
	g.pins.Configure(next.modes)
	g.subscriptions.Replace(next.tellers())
	g.sessions.Configure(sessionBounds(next.cfg, nil, nil))
	g.configureJobs(next.cfg.Jobs)
	g.said.Configure(conversationBounds(next.cfg))
	if g.clients != nil {
		g.clients.front.Configure(g.edgeBounds(next.cfg))
	}
	if old.gate == nil && next.gate != nil {
		g.log.Info("clients are asked for credentials from now on")
	}
}

// sessionBounds are the bounds of legacy sessions.
func sessionBounds(cfg *config.Config, store state.Sessions, ended func(rpc.Revision, time.Duration)) session.Config {
	return session.Config{
		Idle: cfg.Sessions.Idle, Max: cfg.Sessions.Max, InFlight: cfg.Bounds.PerSessionInFlight, Store: store, Ended: ended,
		IdleOf: conversation.Idle,
	}
}

// retirePolicies ends what the policies of a generation had begun and another one does not go on with.
func (g *Gateway) retirePolicies(old, next *generation) {
	if old.cache != nil && old.cache != next.cache {
		g.parting.done.Go(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(g.life), partTime)
			defer cancel()
			if err := old.cache.Close(ctx); err != nil {
				g.log.Warn("cache did not end in time", "error", err.Error())
			}
		})
	}
	if old.gate == nil || old.gate == next.gate {
		return
	}
	g.parting.done.Go(func() {
		pause(g.life, gateTime)
		if next.gate == nil {
			old.gate.Close()
		} else {
			old.gate.Retire(next.gate)
		}
	})
}

// tell tells clients whose lists are not what they were. Where rules changed that are about who sees what, everybody may
// see something else.
func (g *Gateway) tell(ctx context.Context, old, next *generation) {
	rules := !reflect.DeepEqual(config.SettingsOf(old.rules()), config.SettingsOf(next.rules()))
	concerned := map[string]map[string]bool{}
	for i := range next.views {
		view := &next.views[i]
		j := slices.IndexFunc(old.views, func(v catalog.View) bool { return v.Endpoint == view.Endpoint })
		if j < 0 {
			continue // nobody has listed there
		}
		methods := []string{mcp.ToolsChanged, mcp.PromptsChanged, mcp.ResourcesChanged}
		if !rules {
			methods = g.catalog.Differs(ctx, &old.views[j], view)
		}
		for _, method := range methods {
			if concerned[method] == nil {
				concerned[method] = map[string]bool{}
			}
			concerned[method][view.Endpoint] = true
		}
	}
	for method, endpoints := range concerned {
		at := func(endpoint string) bool { return endpoints[endpoint] }
		g.sessions.Broadcast(at, rpc.NewNotification(method, nil))
		g.subscriptions.Broadcast(at, method)
	}
}

// rules are what decides what callers see of lists.
func (n *generation) rules() any {
	return struct {
		Auth   *config.Auth        `yaml:"auth"`
		Access []config.AccessRule `yaml:"access"`
	}{n.cfg.Auth, n.cfg.Access}
}

// stopReloads lets no reload begin any more, and waits for one that runs.
func (g *Gateway) stopReloads() {
	g.stopping.Store(true)
	g.endWaits()
	g.reloads.close()
	g.reloading.Lock() // for whoever reloads without files
	defer g.reloading.Unlock()
}
