package gateway

import (
	"github.com/headgate/headgate/admin"
)

// The states of an upstream.
const (
	Up         = "up"
	Down       = "down"
	Connecting = "connecting" // not heard of yet
	Disabled   = "disabled"   // by its configuration
)

// Upstreams returns the last known state of all configured upstreams in order,
// disabled ones included, without asking any of them.
func (g *Gateway) Upstreams() []admin.UpstreamHealth {
	n := g.generation()
	out := make([]admin.UpstreamHealth, 0, len(n.cfg.Upstreams))
	next := 0
	for _, u := range n.cfg.Upstreams {
		if u.Disabled != "" {
			out = append(out, admin.UpstreamHealth{Name: u.Name, State: Disabled, Note: u.Disabled})
			continue
		}
		out = append(out, g.health(n.servers[next]))
		next++
	}
	return out
}

func (g *Gateway) health(s *member) admin.UpstreamHealth {
	listed := g.catalog.Status(s.Name())
	h := admin.UpstreamHealth{Name: s.Name(), State: Connecting, Tools: listed.Tools}
	switch {
	case listed.Err != nil:
		h.State, h.Note = Down, noteOf(h.Name, listed.Err)
	case listed.Drained:
		h.State, h.Era, h.Note = Up, s.State().Era.String(), g.unapproved(h.Name)
	}
	return h
}

func (g *Gateway) readiness() admin.Readiness {
	r := admin.Readiness{Ready: g.ready.Load(), Upstreams: g.Upstreams()}
	if !r.Ready {
		r.Reason = "starting or shutting down"
	}
	return r
}
