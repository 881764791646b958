package mcpserver

import (
	"context"
	"maps"
	"slices"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// subscribe has a legacy server tell of resources (MCP 2025-11-25, Resources,
// Subscriptions). Subscriptions belong to the session, so that a new one gets them all again.
func (k *keeper) subscribe(ctx context.Context, key linkKey, l link, wants []interest) (map[interest]error, error) {
	k.missed = k.missed || k.stream != nil // it was a modern server
	k.hangUp()
	if k.link != l {
		k.missed = k.missed || k.link != nil
		k.link, k.held = l, map[interest]bool{}
	}
	if !l.description().promises("resources", "subscribe") {
		refused := refuseAll(wants, k.unsupported())
		k.agreed(ctx, l, wants, refused)
		return refused, nil
	}
	if s, ok := l.(*legacyHTTP); ok && len(wants) > 0 {
		s.awaitStream(ctx)
	}
	if k.w.takeDoubt() && len(wants) > 0 {
		if _, err := k.request(ctx, key, l, mcp.Ping, nil); err != nil {
			return nil, err
		}
	}
	for want := range maps.Clone(k.held) {
		if !slices.Contains(wants, want) {
			delete(k.held, want)
			if _, err := k.request(ctx, key, l, mcp.Unsubscribe, uriParams(want.id)); err != nil {
				return nil, err
			}
		}
	}
	refused := map[interest]error{}
	for _, want := range wants {
		if k.held[want] {
			continue
		}
		if want.task { // of the extension, which legacy servers do not have
			refused[want] = k.unsupported()
			continue
		}
		m, err := k.request(ctx, key, l, mcp.Subscribe, uriParams(want.id))
		switch {
		case err != nil:
			return nil, err
		case m.Err != nil:
			refused[want] = m.Err
		default:
			k.held[want] = true
		}
	}
	k.agreed(ctx, l, wants, refused)
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
