package model

import (
	"context"
	"slices"
	"time"

	"github.com/headgate/headgate/rpc"
)

// route changes the target of a call that was resolved to what the rule says that it matches. It keeps the name by which the call is
// judged, limited and shown.
func (r *Router) route(c *rpc.Call) error {
	if r.Route == nil {
		return nil
	}
	rule, to := r.Route(c)
	if rule == nil {
		return nil
	}
	c.Route = rule
	if to == "" {
		return nil
	}
	target, err := r.destined(c, to)
	for i := 0; err != nil && i < len(rule.Fallback); i++ {
		if other, failed := r.destined(c, rule.Fallback[i]); failed == nil {
			target, err = other, nil
		}
	}
	if err == nil {
		c.Target = target
	}
	return err
}

// destined returns what a call is about where a rule sends it. The error says that nothing is there.
func (r *Router) destined(c *rpc.Call, model string) (rpc.Target, error) {
	out := c.Target
	to, ok := r.Find(model)
	if !ok {
		err := rpc.Errorf(rpc.UpstreamDown, "model %q, to which a routing rule sends the call, is switched off", model)
		err.Upstream, err.NotRun = model, true
		return out, err
	}
	whose := out.Whose()
	out.Upstream, out.Own, out.Owner = to.Upstream, to.Own, ""
	if to.Upstream != whose {
		out.Owner = whose
	}
	return out, nil
}

// invokeOrFallBack makes an invoke and, while a model cannot be used, makes it again at those that stand in for it. It waits for the first
// message of the reply: until then nothing was said to the client.
func (r *Router) invokeOrFallBack(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	began := time.Now()
	tried := []rpc.Target{c.Target}
	reply, _, err := rpc.Open(ctx, rpc.HandlerFunc(r.send), c)
	for _, name := range c.Route.Fallback {
		if err == nil || ctx.Err() != nil || !rpc.Unusable(err) {
			break
		}
		next, ok := r.standIn(c, name, tried, time.Since(began))
		if !ok {
			continue
		}
		if !rpc.AsError(err).NotRun && next.Record.Afford() != nil {
			break // what has failed may have cost something
		}
		tried = append(tried, next.Target)
		next.Record.Again("fallback")
		reply, _, err = rpc.Open(ctx, rpc.HandlerFunc(r.send), next)
	}
	return reply, err
}

// standIn returns the call for a model that stands in, with what is left of the call's time; false if it cannot be made there.
func (r *Router) standIn(c *rpc.Call, model string, tried []rpc.Target, spent time.Duration) (*rpc.Call, bool) {
	target, err := r.destined(c, model)
	if err != nil || slices.ContainsFunc(tried, func(t rpc.Target) bool { return t.Upstream == target.Upstream && t.Own == target.Own }) {
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
