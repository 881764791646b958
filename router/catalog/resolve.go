package catalog

import (
	"context"
	"strings"
	"time"

	"github.com/headgate/headgate/rpc"
)

// ResolveTool finds the tool that a client means by a name. Where the name is not
// known the error says why: no such tool, or an upstream that is down.
func (c *Catalog) ResolveTool(ctx context.Context, v *View, client rpc.Client, name string) (*rpc.Target, error) {
	return c.resolve(ctx, v, toolList, client, name)
}

// ResolvePrompt finds the prompt that a client means by a name, as
// [Catalog.ResolveTool] finds a tool.
func (c *Catalog) ResolvePrompt(ctx context.Context, v *View, client rpc.Client, name string) (*rpc.Target, error) {
	return c.resolve(ctx, v, promptList, client, name)
}

// RenewTools lists an upstream's tools again, because what is known of them has turned out to be wrong, and
// waits for it for a bounded time. It reports whether anything was listed.
func (c *Catalog) RenewTools(ctx context.Context, upstream string, client rpc.Client) bool {
	audience := AudienceOf(client)
	if audience == Anybody {
		client = ownClient()
	}
	feeds := c.feeds(upstream)
	if feeds == nil {
		return false
	}
	busy := feeds[toolList].renew(audience, client, time.Now())
	if busy == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	select {
	case <-busy:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *Catalog) resolve(ctx context.Context, v *View, l list, client rpc.Client, name string) (*rpc.Target, error) {
	if t, ok := c.table(ctx, v, l, client, false).targets[name]; ok {
		return t, nil
	}
	table := c.table(ctx, v, l, client, true)
	if t, ok := table.targets[name]; ok {
		return t, nil
	}
	if refusal := table.withheld[name]; refusal != nil {
		return nil, refusal
	}
	if v.Single && !c.setOf(v).feeds[v.Upstreams[0]][l].source.Listed {
		return c.unlisted(v, l, name)
	}
	for i, upstream := range table.absent {
		if v.Single || strings.HasPrefix(name, upstream+separator) {
			return nil, down(upstream, table.failures[i])
		}
	}
	return nil, rpc.Errorf(rpc.InvalidParams, "unknown %s %s%s", l.traits().noun, rpc.Excerpt(name), table.suggest(name))
}

// unlisted lets a name that its one upstream does not list go there all the same:
// what it says of it is the truth, and names may be new.
func (c *Catalog) unlisted(v *View, l list, name string) (*rpc.Target, error) {
	upstream := v.Upstreams[0]
	if l == toolList && (!v.Allows(name) || !c.setOf(v).feeds[upstream][l].source.Allows(name)) {
		return nil, rpc.Errorf(rpc.InvalidParams, "unknown tool %s", rpc.Excerpt(name))
	}
	return &rpc.Target{
		Kind: l.traits().kind, Exposed: name, Canonical: Canonical(upstream, name), Upstream: upstream, Own: name, Unlisted: true,
	}, nil
}

// suggest names a listed entry that ends like the name, for a client that left out
// which of several upstreams it means or used another spelling.
func (t *Table) suggest(name string) string {
	for exposed, target := range t.targets {
		if exposed == target.Exposed && (target.Own == name || strings.EqualFold(exposed, name)) {
			return "; did you mean " + rpc.Excerpt(exposed) + "?"
		}
	}
	return ""
}

func down(upstream string, cause error) *rpc.Error {
	e := rpc.Errorf(rpc.UpstreamDown, "upstream %q is not available", upstream)
	if known := rpc.AsError(cause); cause != nil && known.Code != rpc.Internal {
		e.Code, e.Message = known.Code, known.Message
	}
	e.Upstream, e.Cause = upstream, cause
	return e
}
