package mcpserver

import (
	"context"
	"maps"
	"slices"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// subscribe has a legacy server tell of URIs (MCP 2025-11-25, Resources,
// Subscriptions). Subscriptions belong to the session, so that a new one gets them all again.
func (k *keeper) subscribe(ctx context.Context, key linkKey, l link, uris []string) (map[string]error, error) {
	k.hangUp()
	if k.link != l {
		k.missed = k.missed || k.link != nil
		k.link, k.held = l, map[string]bool{}
	}
	about := l.description()
	if !about.promises("resources", "subscribe") {
		return refuseAll(uris, k.unsupported()), nil
	}
	if k.w.takeDoubt() && len(uris) > 0 {
		if _, err := k.request(ctx, key, l, mcp.Ping, nil); err != nil {
			return nil, err
		}
	}
	for uri := range maps.Clone(k.held) {
		if !slices.Contains(uris, uri) {
			delete(k.held, uri)
			if _, err := k.request(ctx, key, l, mcp.Unsubscribe, uriParams(uri)); err != nil {
				return nil, err
			}
		}
	}
	refused := map[string]error{}
	for _, uri := range uris {
		if k.held[uri] {
			continue
		}
		m, err := k.request(ctx, key, l, mcp.Subscribe, uriParams(uri))
		switch {
		case err != nil:
			return nil, err
		case m.Err != nil:
			refused[uri] = m.Err
		default:
			k.held[uri] = true
		}
	}
	k.pause = streamFirst
	k.catchUp(about, uris, refused)
	return refused, nil
}

// request sends a request of the keeper's own and returns the response, or errRelinked if it
// turned out to be sent on another link.
func (k *keeper) request(ctx context.Context, key linkKey, l link, method string, params []byte) (*rpc.Message, error) {
	reply, err := k.s.Handle(ctx, ownCall(method, params))
	if err != nil {
		return nil, err
	}
	defer func() { _ = reply.Close() }()
	for {
		m, err := reply.Next()
		switch {
		case err != nil:
			return nil, err
		case !m.IsResponse():
			continue
		case k.s.links.find(key) != l:
			return nil, errRelinked
		}
		return m.Clone(), nil
	}
}
