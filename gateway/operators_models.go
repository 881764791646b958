package gateway

import "github.com/headgate/headgate/admin"

// Loading is the state of a model that no backend has loaded yet.
const Loading = "loading"

// Models implements [admin.Gateway].
func (o observed) Models() []admin.Model {
	n := o.generation()
	out := make([]admin.Model, len(n.cfg.Models))
	for i := range n.cfg.Models {
		cfg := &n.cfg.Models[i]
		out[i] = admin.Model{Name: cfg.Name, Aliases: cfg.Aliases, State: Disabled, Note: cfg.Disabled}
		m := n.pool(cfg.Name)
		if m == nil {
			continue
		}
		switch s := m.Status(); {
		case s.Available:
			out[i].State = Up
		case s.Warming:
			out[i].State = Loading
		default:
			out[i].State = Down
		}
		out[i].Backends, out[i].Queue = backendsOf(m.Backends()), queueOf(m.Queue())
	}
	return out
}
