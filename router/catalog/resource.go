package catalog

import (
	"context"
	"slices"
	"strings"

	"github.com/headgate/headgate/rpc"
)

// ResolveURI finds the resource that a client means by a URI: the one that an
// upstream lists, else the one of the upstream the URI is qualified with, else one
// of the most specific template that it fits, else one that an upstream has shown
// the principal. Where none of them knows it the target has no upstream, and the
// [Catalog.Candidates] may be asked.
func (c *Catalog) ResolveURI(ctx context.Context, v *View, client rpc.Client, p rpc.Principal, uri string) *rpc.Target {
	if v.Single {
		return ResourceOf(v.Upstreams[0], uri)
	}
	for _, wait := range []bool{false, true} {
		if t := c.locate(ctx, v, client, p, uri, wait); t != nil {
			return t
		}
	}
	return &rpc.Target{Kind: rpc.Resource, Exposed: uri, Own: uri}
}

// ResourceOf returns the target that an upstream calls own.
func ResourceOf(upstream, own string) *rpc.Target {
	return &rpc.Target{Kind: rpc.Resource, Exposed: own, Canonical: qualify(upstream, own), Upstream: upstream, Own: own}
}

func (c *Catalog) locate(ctx context.Context, v *View, client rpc.Client, p rpc.Principal, uri string, wait bool) *rpc.Target {
	if t, ok := c.table(ctx, v, resourceList, client, wait).targets[uri]; ok {
		return t
	}
	if upstream, own, ok := c.qualified(v, uri); ok {
		return ResourceOf(upstream, own)
	}
	for _, t := range c.table(ctx, v, templateList, client, wait).patterns {
		if t.pattern.matches(uri) {
			return ResourceOf(t.upstream, uri)
		}
	}
	if upstream, ok := c.owners.of(p, uri); ok && slices.Contains(c.members(v), upstream) {
		return ResourceOf(upstream, uri)
	}
	return nil
}

// qualified takes a URI apart that carries the name of one of the view's upstreams.
func (c *Catalog) qualified(v *View, uri string) (upstream, own string, ok bool) {
	upstream, own, ok = unqualify(uri)
	return upstream, own, ok && slices.Contains(c.members(v), upstream)
}

// ResolveTemplate finds the template, or else the resource, that a client wants to
// complete an argument of (MCP 2026-07-28, Completion).
func (c *Catalog) ResolveTemplate(ctx context.Context, v *View, client rpc.Client, p rpc.Principal, uri string) *rpc.Target {
	for _, wait := range []bool{false, true} {
		if t, ok := c.table(ctx, v, templateList, client, wait).targets[uri]; ok {
			return t
		}
	}
	return c.ResolveURI(ctx, v, client, p, uri)
}

// Candidates returns the upstreams of a view that may have resources which they do
// not list, in order. The error tells of one that cannot be asked now; it is nil if
// there is none.
func (c *Catalog) Candidates(ctx context.Context, v *View, client rpc.Client) ([]string, error) {
	t := c.table(ctx, v, resourceList, client, true)
	if len(t.absent) > 0 {
		return t.offering, down(t.absent[0], t.failures[0])
	}
	return t.offering, nil
}

// Learn remembers that an upstream has a resource which a principal read and which
// is in no list.
func (c *Catalog) Learn(p rpc.Principal, uri, upstream string) { c.owners.learn(p, uri, upstream) }

// ExposeURI returns the URI under which a client finds a resource that an upstream
// calls uri: the same, unless the endpoint would take that for another upstream's.
// A URI that nobody has claimed yet is the upstream's from then on.
func (c *Catalog) ExposeURI(ctx context.Context, v *View, client rpc.Client, p rpc.Principal, upstream, uri string) string {
	if v.Single || uri == "" {
		return uri
	}
	if c.needsName(v, uri) {
		return qualify(upstream, uri)
	}
	t := c.locate(ctx, v, client, p, uri, false)
	switch {
	case t == nil:
		c.owners.learn(p, uri, upstream)
		return uri
	case t.Upstream == upstream:
		return t.Exposed
	}
	return qualify(upstream, uri)
}

// needsName reports whether a URI is shown with its upstream's name even where no
// other upstream has it: an app's, and one that would be taken for a qualified one.
func (c *Catalog) needsName(v *View, uri string) bool {
	if strings.HasPrefix(uri, appScheme) {
		return true
	}
	_, _, ok := c.qualified(v, uri)
	return ok
}
