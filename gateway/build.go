package gateway

import (
	"context"
	"fmt"
	"slices"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/router/bridge"
	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/router/route"
	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/router/subscription"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state/seal"
	"github.com/headgate/headgate/upstream"
)

// build makes the parts that last and wires them, and makes the first generation. Each part registers
// how it is stopped right after it is made.
func (g *Gateway) build(ctx context.Context, cfg *config.Config) (err error) {
	if g.keys, err = keyring(cfg.DataDir); err != nil {
		return err
	}
	if err := g.openTraces(ctx, cfg); err != nil {
		return err
	}
	g.http = upstream.NewClient(upstream.ClientConfig{})
	g.onStop("upstream connections", func(context.Context) error { g.http.CloseIdle(); return nil })
	g.onStop("upstreams", g.closeMembers)
	if err := g.openState(cfg); err != nil {
		return err
	}
	if err := g.openAudit(cfg); err != nil {
		return err
	}
	if err := g.measure(cfg); err != nil {
		return err
	}
	g.openJobs(ctx, cfg)
	g.logCalls(ctx, cfg.Telemetry.Logs)
	g.sessions = session.New(sessionBounds(cfg, g.rememberedSessions(), g.measures.sessionEnded()), g.keys, g.logOf("session"))
	g.openConversations(cfg)
	g.onStop("sessions", func(ctx context.Context) error { return g.sessions.Close(ctx) })
	if err := g.openPins(cfg); err != nil {
		return err
	}
	g.bridge = bridge.New(bridge.Config{}, g.keys, g.logOf("bridge"))
	g.onStop("parked calls", g.bridge.Close)
	g.catalog = catalog.New(ctx, nil, g.keys, g.logOf("catalog"))
	g.onStop("catalogue", func(context.Context) error { g.catalog.Close(); return nil })
	g.mirrors = route.NewMirrors(ctx, g.logOf("route"))
	g.onStop("mirrored calls", g.mirrors.Close)
	g.watchPins(ctx)
	g.buildSubscriptions()
	g.wireNotices()
	g.onStop("policies", g.closePolicies)

	first, err := g.generate(cfg, nil)
	if err != nil {
		return err
	}
	g.catalog.Adopt(first.lists)
	g.subscriptions.Replace(first.tellers())
	g.now.Store(first)
	g.reloads.inForce(first)
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

// buildSubscriptions makes what tells clients of changes. What it asks of the configuration is asked of the
// generation of the moment: who listens outlives them.
func (g *Gateway) buildSubscriptions() {
	g.subscriptions = subscription.New(subscription.Deps{
		Log: g.logOf("subscription"), Post: g.sessions.Post, Store: g.sessions,
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
