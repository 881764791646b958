package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/router/pin"
	"github.com/headgate/headgate/router/subscription"
	"github.com/headgate/headgate/upstream/mcpserver"
)

// membersOf makes the upstreams of a generation, but for those that another one has in the same way.
func (g *Gateway) membersOf(n, old *generation) error {
	cfg := n.cfg
	for _, u := range cfg.Upstreams {
		if u.Disabled != "" {
			g.log.Debug("upstream disabled", "upstream", u.Name, "reason", u.Disabled)
			continue
		}
		print := printOf(cfg, u)
		m := old.server(u.Name)
		if m == nil || m.print != print {
			s, err := mcpserver.NewPool(u, mcpserver.Deps{
				Log: g.logOf("upstream"), HTTP: g.http, Identity: mcpserver.Identity{Name: "headgate", Version: g.version},
				Environ: g.environ, MaxResult: int64(cfg.Bounds.Result), SessionEnded: g.measures.upstreamSessionEnded(),
			}, retries(u))
			if err != nil {
				return fmt.Errorf("upstream %q: %w", u.Name, err)
			}
			m = g.newMember(s, u, print)
		}
		n.servers = append(n.servers, m)
	}
	return nil
}

// drop ends what was made for a generation that is not used after all. Nothing of it has begun.
func (g *Gateway) drop(n, old *generation) {
	for _, m := range n.servers {
		if old.server(m.Name()) != m {
			_ = m.Close(g.life) // there is nothing that could fail to end
		}
	}
	for _, m := range n.pools {
		if old.pool(m.Name()) != m {
			_ = m.Close() // likewise
		}
	}
}

// printOf is the fingerprint of all that an upstream's connections and processes depend on. What is shown of it is
// something else, and of several backends each can come and go.
func printOf(cfg *config.Config, u config.Upstream) string {
	several := len(u.Backends) > 1
	u.DisplayName, u.Tools, u.Pins, u.Backends = "", config.Filter{}, config.Pins{}, nil
	return fmt.Sprint(config.Fingerprint(config.SettingsOf(u)), cfg.Bounds.Result, several)
}

// rebalance gives the upstreams of a generation, which others may have had before, the backends that it has for them. Those that leave may
// finish what they do.
func (g *Gateway) rebalance(n *generation) {
	for _, m := range n.servers {
		u := n.upstream(m.Name())
		if len(u.Backends) == 0 {
			continue
		}
		leave, err := m.SetBackends(u.Backends)
		if err != nil {
			g.log.Error("backends are what they were", "upstream", u.Name, "error", err.Error())
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
}

// server returns the upstream of a name; nil if there is none.
func (n *generation) server(name string) *member {
	if n == nil {
		return nil
	}
	for _, m := range n.servers {
		if m.Name() == name {
			return m
		}
	}
	return nil
}

// tellers are the upstreams as those ask them who want to hear of changes.
func (n *generation) tellers() map[string]subscription.Upstream {
	out := make(map[string]subscription.Upstream, len(n.servers))
	for _, m := range n.servers {
		out[m.Name()] = m
	}
	return out
}

// modes say what follows when an upstream tells models something else than was approved.
func modesOf(cfg *config.Config) map[string]pin.Mode {
	out := make(map[string]pin.Mode, len(cfg.Upstreams))
	for _, u := range cfg.Upstreams {
		if u.Disabled == "" {
			out[u.Name] = pin.Mode(cfg.PinMode(u))
		}
	}
	return out
}

// listed is what the lists of an upstream depend on.
type listed struct {
	member *member
	filter string
	mode   pin.Mode
	unsaid time.Duration
}

// sources shows the upstreams of a generation to the catalogue.
func (g *Gateway) sources(n *generation) []catalog.Source {
	var unsaid time.Duration
	if n.cfg.Cache != nil {
		unsaid = n.cfg.Cache.Lists.TTL
	}
	out := make([]catalog.Source, 0, len(n.servers))
	for _, m := range n.servers {
		u := n.upstream(m.Name())
		key := listed{m, config.Fingerprint(config.SettingsOf(u.Tools)), n.modes[u.Name], unsaid}
		out = append(out, g.pinned(key.mode, catalog.Source{
			Name: u.Name, Key: key, Handler: g.bridge.Cross(m), Allows: u.Tools.Allows, Unsaid: unsaid,
			Describe: func(ctx context.Context) (catalog.Description, error) {
				d, err := m.Describe(ctx)
				return catalog.Description{
					Era: d.Era, HTTP: d.Transport == "http", Server: nameOf(d.ServerInfo), Capabilities: d.Capabilities, Instructions: d.Instructions,
				}, err
			},
		}))
	}
	return out
}
