package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// cacheOf makes the cache of a configuration, if there is one, or takes that of another generation if that is the same.
// What is in it is the engine's.
func (g *Gateway) cacheOf(cfg *config.Config, old *generation) *policy.Cache {
	switch {
	case cfg.Cache == nil:
		return nil
	case old != nil && old.cache != nil && reflect.DeepEqual(old.cfg.Cache, cfg.Cache):
		return old.cache
	}
	return policy.NewCache(g.life, *cfg.Cache, g.engine.Cache(), mcp.LifetimeOf, g.logOf("cache"))
}

// closePolicies ends what the policies of the last generation have begun.
func (g *Gateway) closePolicies(ctx context.Context) error {
	n := g.generation()
	if n == nil {
		return nil
	}
	if n.gate != nil {
		n.gate.Close()
	}
	if n.cache != nil {
		return n.cache.Close(ctx)
	}
	return nil
}

// openAudit opens the audit log, if there is one.
func (g *Gateway) openAudit(cfg *config.Config) error {
	if cfg.Audit == nil {
		return nil
	}
	trail, err := policy.OpenAudit(*cfg.Audit, g.logOf("audit"))
	if err != nil {
		return err
	}
	g.trail = trail
	g.onStop("audit log", func(context.Context) error { return trail.Close() })
	return nil
}

// audits is the policy that writes the audit log, if there is one.
func (g *Gateway) audits(cfg *config.Config) (rpc.Middleware, error) {
	if g.trail == nil {
		return pass, nil
	}
	rules, err := json.Marshal([]any{cfg.Access, cfg.Limits})
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	sum := sha256.Sum256(rules)
	return policy.Audit(g.trail, hex.EncodeToString(sum[:8])), nil
}

// filtersLists reports whether callers see different things in lists.
func (n *generation) filtersLists() bool { return n.cfg.Auth != nil || len(n.cfg.Access) > 0 }

// seer is what says who sees what in lists; nil where everybody sees everything.
func (n *generation) seer() func(*rpc.Call, *rpc.Target) bool {
	if !n.filtersLists() {
		return nil
	}
	return n.sees
}

// sees reports whether a caller may know of a target.
func (n *generation) sees(c *rpc.Call, t *rpc.Target) bool {
	return n.access.Sees(&c.Principal, c.Dialect, mcp.VerbOf(t.Kind), t) && n.seesTool(c, t)
}

// mayRead reports whether a caller may read a resource that an upstream calls own.
func (n *generation) mayRead(c *rpc.Call, upstream, own string) bool {
	return !n.filtersLists() || n.sees(c, catalog.ResourceOf(upstream, own))
}

// locate finds a resource for who wants to hear of its changes. One that the caller may
// not read is like one that nobody has.
func (n *generation) locate(ctx context.Context, c *rpc.Call, uri string) *rpc.Target {
	t := n.router.Resource(ctx, c, uri)
	if n.filtersLists() && !n.sees(c, t) {
		return &rpc.Target{Kind: rpc.Resource, Exposed: uri, Own: uri}
	}
	return t
}
