package router

import (
	"context"
	"slices"
	"time"

	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/rpc"
)

// destinationsOf returns a view of each upstream for calls that a rule sends there: it shows what the upstream's own
// filter and what was approved of it allow, and nothing else counts. Like is a view of the same lists.
func destinationsOf(upstreams map[string]rpc.Handler, like *catalog.View) map[string]*catalog.View {
	out := make(map[string]*catalog.View, len(upstreams))
	for name := range upstreams {
		out[name] = &catalog.View{
			Endpoint: "upstream " + name, Version: like.Version, Set: like.Set, Upstreams: []string{name}, Single: true,
			Allows: func(string) bool { return true },
		}
	}
	return out
}

// serves reports whether an upstream is there.
func (r *Router) serves(upstream string) bool { return r.destinations[upstream] != nil }

// route changes the target of a call that was resolved to what the rule says that it matches. What goes on with an earlier call
// goes where that is, whatever rules say.
func (r *Router) route(ctx context.Context, c *rpc.Call) error {
	if !c.Message.IsRequest() || c.Target.Kind == rpc.Task {
		return nil
	}
	to := ""
	if rule := r.Routes.Match(c, &c.Target); rule != nil {
		c.Route, to = &rule.Route, rule.Choose(c)
	}
	if held := r.Holds(c); held != "" {
		to = held
	}
	if to == "" || to == c.Target.Upstream {
		return nil
	}
	target, err := r.destined(ctx, c, to)
	for i := 0; err != nil && rpc.Unusable(err) && c.Route != nil && i < len(c.Route.Fallback); i++ {
		if other, failed := r.destined(ctx, c, c.Route.Fallback[i]); failed == nil {
			target, err = other, nil
		}
	}
	if err != nil {
		return err
	}
	c.Target = target
	return nil
}

// destined returns what a call is about at another upstream. The error says that this has nothing of the name that may be used, or that it
// cannot be asked.
func (r *Router) destined(ctx context.Context, c *rpc.Call, upstream string) (rpc.Target, error) {
	out := c.Target
	if upstream == out.Whose() {
		out.Owner = ""
	} else {
		out.Owner = out.Whose()
	}
	out.Upstream = upstream
	view := r.destinations[upstream]
	if view == nil {
		e := rpc.Errorf(rpc.UpstreamDown, "upstream %q, to which a routing rule sends the call, is switched off", upstream)
		e.Upstream, e.NotRun = upstream, true
		return out, e
	}
	var found *rpc.Target
	var err error
	switch {
	case out.Kind == rpc.Tool:
		found, err = r.Catalog.ResolveTool(ctx, view, c.Client, out.Own)
	case out.Kind == rpc.Prompt:
		found, err = r.Catalog.ResolvePrompt(ctx, view, c.Client, out.Own)
	case out.Kind == rpc.Resource && out.Owner == "" && out.Canonical == "": // nobody was known to have it
		exposed := out.Exposed
		out = *catalog.ResourceOf(upstream, out.Own)
		out.Exposed, out.Merged = exposed, c.Target.Merged
	}
	if found != nil {
		out.Idempotent, out.Cacheable, out.Task, out.ParamHeaders = found.Idempotent, found.Cacheable, found.Task, found.ParamHeaders
	}
	return out, err
}

// serveRouted is serve for a call that matches a rule.
func (r *Router) serveRouted(ctx context.Context, view *catalog.View, up rpc.Handler, c **rpc.Call) (*rpc.Reply, error) {
	route := (*c).Route
	if (len(route.Fallback) == 0 && route.Mirror == "") || r.Holds(*c) != "" {
		return r.send(ctx, view, up, *c)
	}
	var reply *rpc.Reply
	var err error
	if len(route.Fallback) == 0 {
		reply, err = r.send(ctx, view, up, *c)
	} else {
		reply, err = r.sendOrFallBack(ctx, view, c)
	}
	if err != nil || route.Mirror == "" {
		return reply, err
	}
	return r.mirrored(ctx, *c, reply), nil
}

// sendOrFallBack passes a call on and, while an upstream cannot be used and the call can be made again, to those that
// stand in for it. It waits for the first message of the reply: until then nothing was said to the client.
func (r *Router) sendOrFallBack(ctx context.Context, view *catalog.View, c **rpc.Call) (*rpc.Reply, error) {
	first, began := *c, time.Now()
	tried := []string{first.Target.Upstream}
	reply, _, err := rpc.Open(ctx, r.sender(view), first)
	for _, name := range first.Route.Fallback {
		if err == nil || ctx.Err() != nil || !repeatable(*c, err) {
			break
		}
		next, ok := r.standIn(ctx, first, name, tried, time.Since(began))
		if !ok {
			continue
		}
		tried = append(tried, name)
		*c = next
		next.Record.Again("fallback")
		reply, _, err = rpc.Open(ctx, r.sender(view), next)
	}
	return reply, err
}

// sender passes calls to the upstreams of their targets.
func (r *Router) sender(view *catalog.View) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		return r.send(ctx, view, r.Upstreams[c.Target.Upstream], c)
	})
}

// standIn returns the call for an upstream that stands in, with what is left of the call's time; false if it cannot be made
// there.
func (r *Router) standIn(ctx context.Context, c *rpc.Call, upstream string, tried []string, spent time.Duration) (*rpc.Call, bool) {
	if slices.Contains(tried, upstream) {
		return nil, false
	}
	target, err := r.destined(ctx, c, upstream)
	if err != nil {
		return nil, false
	}
	next := *c
	next.Target = target
	if most := c.Route.MaxTimeout; most > 0 {
		if most -= spent; most <= 0 {
			return nil, false
		}
		route := *c.Route
		route.MaxTimeout, route.Timeout = most, min(route.Timeout, most)
		next.Route = &route
	}
	return &next, true
}

// repeatable reports whether a call that failed so may be made elsewhere: it has not run, or may run twice.
func repeatable(c *rpc.Call, err error) bool {
	if !rpc.Unusable(err) {
		return false
	}
	return rpc.AsError(err).NotRun || harmless(c)
}
