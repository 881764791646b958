package gateway

import (
	"time"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/router/route"
	"github.com/headgate/headgate/upstream"
	"github.com/headgate/headgate/upstream/mcpserver"
)

// shownTenants is how many of those who wait for an upstream operators are shown.
const shownTenants = 32

// Upstreams implements [admin.Gateway].
func (o observed) Upstreams() []admin.Upstream {
	n := o.generation()
	health := o.Gateway.Upstreams()
	mirrors := o.mirrors.Counts()
	out := make([]admin.Upstream, 0, len(health))
	for _, h := range health {
		u := admin.Upstream{Name: h.Name, State: h.State, Era: h.Era, Tools: h.Tools, Note: h.Note}
		if m := n.server(h.Name); m != nil {
			m.show(&u)
		}
		u.Mirror = mirrorOf(mirrors, h.Name)
		out = append(out, u)
	}
	return out
}

// show adds what an upstream's pool and queue have seen.
func (m *member) show(u *admin.Upstream) {
	state := m.State()
	since := state.Since.UTC()
	u.Since, u.Transport, u.Restarts, u.Revision = &since, state.Transport, state.Restarts, string(state.Revision)
	if state.Status == mcpserver.Down && state.Err != nil {
		u.Error = noteOf(u.Name, state.Err)
	}
	u.Backends = backendsOf(m.Backends())
	u.Queue = queueOf(m.queue.Status())
}

// backendsOf shows backends.
func backendsOf(all []upstream.BackendStatus) []admin.Backend {
	out := make([]admin.Backend, len(all))
	for i, b := range all {
		out[i] = admin.Backend{
			Backend: b.Backend, State: b.State, Breaker: b.Breaker, InFlight: b.InFlight, Weight: b.Weight, Share: b.Share,
			Row: b.Row, Failures: b.Failures, Ejections: b.Ejections, Back: millis(b.Back),
		}
	}
	return out
}

// queueOf shows a queue; nil where there is none.
func queueOf(q upstream.QueueStatus) *admin.Queue {
	if q.Limit == 0 {
		return nil
	}
	out := &admin.Queue{Limit: q.Limit, InFlight: q.InFlight, Waiting: q.Waiting, Size: q.Size, Oldest: millis(q.Oldest), Shed: map[string]uint64{}}
	for cause, n := range q.Shed {
		if n > 0 {
			out.Shed[cause] = n
		}
	}
	for _, t := range q.Tenants[:min(len(q.Tenants), shownTenants)] {
		out.Tenants = append(out.Tenants, admin.Tenant{Tenant: t.Tenant, Band: t.Band, Weight: t.Weight, Waiting: t.Waiting, Oldest: millis(t.Oldest)})
	}
	return out
}

func mirrorOf(all []route.Count, name string) *admin.Mirror {
	for _, c := range all {
		if c.Upstream == name {
			return &admin.Mirror{Equal: c.Equal, Different: c.Different, Failed: c.Failed, Dropped: c.Dropped}
		}
	}
	return nil
}

// millis is a duration in milliseconds, to the microsecond.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
