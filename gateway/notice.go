package gateway

import (
	"context"

	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/upstream/mcpserver"
)

// hear carries what an upstream says unasked to the catalogue and to those who want to hear of it. One whose place
// another one has taken is not heard.
func (g *Gateway) hear(from *member) {
	name := from.Name()
	from.OnNotice(func(m *rpc.Message) {
		if g.generation().server(name) != from {
			return
		}
		g.outdate(g.life, name, m) // before anybody asks again
		switch m.Method {
		case mcp.ResourceUpdated:
			g.subscriptions.Updated(name, m)
		case mcp.TaskChanged:
			g.subscriptions.TaskChanged(name, m)
		default:
			g.catalog.Notice(name, m.Method)
		}
	})
	from.OnVisited(g.sessions.Post)
	from.OnLog(func(l mcpserver.Log) { g.passLog(name, l) })
}

// wireNotices carries what ends here to upstreams, and what changed in the catalogue to the clients that can see it.
func (g *Gateway) wireNotices() {
	g.sessions.OnRecall(g.subscriptions.Restore)
	g.sessions.OnEnd(func(key string) {
		g.subscriptions.EndSession(key)
		for _, m := range g.generation().servers {
			m.EndSession(key)
		}
		for m := range g.parting.all() {
			m.EndSession(key)
		}
	})
	g.catalog.OnChange(func(change catalog.Change) {
		views := g.generation().views
		concerned := map[string]bool{}
		for i := range views {
			concerned[views[i].Endpoint] = change.Concerns(&views[i])
		}
		at := func(endpoint string) bool { return concerned[endpoint] }
		g.sessions.Broadcast(at, rpc.NewNotification(change.Method, nil))
		g.subscriptions.Broadcast(at, change.Method)
	})
}

// outdate forgets the cached answers that a notification of an upstream is about.
func (g *Gateway) outdate(ctx context.Context, upstream string, m *rpc.Message) {
	cache := g.generation().cache
	if cache == nil {
		return
	}
	switch m.Method {
	case mcp.ResourceUpdated:
		if uri, ok := m.Text("uri"); ok && uri != "" {
			cache.Invalidate(ctx, upstream, uri)
		}
	case mcp.ToolsChanged, mcp.ResourcesChanged:
		cache.Invalidate(ctx, upstream, "")
	}
}

// passLog carries a log message that belongs to no call to the legacy sessions that may be shown it: the one whose
// connection it came on, or all on endpoints that hold the upstream. Where clients are kept apart, what comes on a
// connection that they share is for none: it may be about a call of one of them.
func (g *Gateway) passLog(upstream string, l mcpserver.Log) {
	n := g.generation()
	if l.Session == "" && n.gate != nil {
		return
	}
	level, _ := l.Message.Text("level")
	named := l.Named(upstream)
	at := make(map[string]*rpc.Message, len(n.views))
	for i := range n.views {
		switch v := &n.views[i]; {
		case !v.Has(upstream):
		case v.Single:
			at[v.Endpoint] = l.Message
		default:
			at[v.Endpoint] = named
		}
	}
	g.sessions.Log(session.Log{
		Session: l.Session, Level: level, Usual: l.Usual,
		At: func(endpoint string) *rpc.Message { return at[endpoint] },
	})
}
