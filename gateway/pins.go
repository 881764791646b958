package gateway

import (
	"context"
	"fmt"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/router/pin"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// openPins opens what remembers what upstreams told models when that was approved.
func (g *Gateway) openPins(cfg *config.Config) error {
	book, err := pin.Open(pin.Options{Dir: cfg.DataDir, Modes: modesOf(cfg), Log: g.logOf("pin")})
	if err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	g.pins = book
	g.onStop("pins", func(context.Context) error { book.Close(); return nil })
	return nil
}

// watchPins has upstreams listed again when what is approved of them changes.
func (g *Gateway) watchPins(ctx context.Context) {
	g.pins.Watch(ctx, func(upstream string) {
		g.catalog.Notice(upstream, mcp.ToolsChanged)
		g.catalog.Notice(upstream, mcp.PromptsChanged)
	})
}

// pinned has what an upstream lists compared with what is approved.
func (g *Gateway) pinned(mode pin.Mode, s catalog.Source) catalog.Source {
	s.Listed = mode == pin.Quarantine || mode == pin.Block
	s.Review = func(ctx context.Context, l catalog.Listing) map[string]string {
		audience := ""
		if l.Audience != catalog.Anybody {
			audience = l.Audience.Era.String() + " " + l.Audience.Features
		}
		return g.pins.Review(ctx, pin.Listing{
			Upstream: s.Name, Server: l.Server, Kind: l.Kind, Audience: audience, Whole: l.Whole, Names: l.Names, Texts: l.Texts,
		})
	}
	return s
}

// nameOf reads what a server calls itself.
func nameOf(implementation []byte) string {
	o, err := rpc.ReadObject(implementation)
	if err != nil {
		return ""
	}
	name, _ := o.Text("name")
	return name
}

// unapproved says what of an upstream waits for approval; nothing where nobody wants to be told.
func (g *Gateway) unapproved(upstream string) string {
	n := g.pins.Waiting(upstream)
	if n == 0 || g.pins.Mode(upstream) == pin.Observe {
		return ""
	}
	return fmt.Sprintf("%d new or changed definitions wait for approval: headgate pins diff %s", n, upstream)
}
