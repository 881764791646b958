package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// policies are the parts of the chain that the configuration switches on.
type policies struct {
	access *policy.Access
	limits *policy.Limits
	cache  *policy.Cache // nil where nothing is cached
	audit  rpc.Middleware
}

// buildPolicies makes them. The engine has been opened.
func (g *Gateway) buildPolicies(ctx context.Context) (err error) {
	g.access = policy.NewAccess(g.cfg.Access, g.cfg.Auth == nil)
	if g.engine == nil && (len(g.cfg.Limits) > 0 || g.cfg.Cache != nil) {
		return errors.New("limits and cache need a data_dir")
	}
	g.buildCache(ctx)
	g.limits = &policy.Limits{}
	if len(g.cfg.Limits) > 0 {
		if g.limits, err = policy.NewLimits(g.cfg.Limits, g.engine.Quota(), g.log); err != nil {
			return err
		}
	}
	return g.buildAudit()
}

// buildCache makes the cache, if there is one.
func (g *Gateway) buildCache(ctx context.Context) {
	if g.cfg.Cache == nil {
		return
	}
	g.cache = policy.NewCache(ctx, *g.cfg.Cache, g.engine.Cache(), mcp.LifetimeOf, g.log)
	g.onStop("cache", g.cache.Close)
}

// filtersLists reports whether callers see different things in lists.
func (g *Gateway) filtersLists() bool { return g.cfg.Auth != nil || len(g.cfg.Access) > 0 }

// sees reports whether a caller may know of a target.
func (g *Gateway) sees(c *rpc.Call, t *rpc.Target) bool {
	return g.access.Sees(&c.Principal, c.Dialect, mcp.VerbOf(t.Kind), t)
}

// mayRead reports whether a caller may read a resource that an upstream calls own.
func (g *Gateway) mayRead(c *rpc.Call, upstream, own string) bool {
	return !g.filtersLists() || g.sees(c, catalog.ResourceOf(upstream, own))
}

// locate finds a resource for who wants to hear of its changes. One that the caller may
// not read is like one that nobody has.
func (g *Gateway) locate(ctx context.Context, c *rpc.Call, uri string) *rpc.Target {
	t := g.router.Resource(ctx, c, uri)
	if g.filtersLists() && !g.sees(c, t) {
		return &rpc.Target{Kind: rpc.Resource, Exposed: uri, Own: uri}
	}
	return t
}

// buildAudit opens the audit log, if there is one.
func (g *Gateway) buildAudit() error {
	g.audit = pass
	if g.cfg.Audit == nil {
		return nil
	}
	rules, err := json.Marshal([]any{g.cfg.Access, g.cfg.Limits})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	trail, err := policy.OpenAudit(*g.cfg.Audit, g.log)
	if err != nil {
		return err
	}
	g.onStop("audit log", func(context.Context) error { return trail.Close() })
	sum := sha256.Sum256(rules)
	g.audit = policy.Audit(trail, hex.EncodeToString(sum[:8]))
	return nil
}
