package live

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/headgate/headgate/rpc"
)

// Caller is somebody who called of late, or calls now.
type Caller struct {
	Principal rpc.Principal // without scopes
	Remote    netip.AddrPort
	Calls     int // that are known of
}

// Busiest returns those who have most calls among the calls in flight and those that are
// remembered, at most n.
func (r *Registry) Busiest(n int) []Caller {
	type who struct {
		org, team, key, user string
		from                 netip.Addr
	}
	all := map[who]*Caller{}
	count := func(p *rpc.Principal, remote netip.AddrPort) {
		w := who{p.Org, p.Team, p.Key, p.User, remote.Addr()}
		c := all[w]
		if c == nil {
			c = &Caller{Principal: rpc.Principal{Org: p.Org, Team: p.Team, Key: p.Key, User: p.User}, Remote: remote}
			all[w] = c
		}
		c.Calls++
	}
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for p := s.flying.Next; p != &s.flying; p = p.Next {
			if p.Settled.Load() {
				count(&p.Call.Principal, p.Call.Remote)
			}
		}
		for k := range min(s.past.count, pastSize) {
			count(&s.past.calls[k].principal, s.past.calls[k].remote)
		}
		s.mu.Unlock()
	}
	out := make([]Caller, 0, len(all))
	for _, c := range all {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Caller) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Principal.Org, b.Principal.Org), cmp.Compare(a.Principal.Key, b.Principal.Key),
			cmp.Compare(a.Principal.User, b.Principal.User), a.Remote.Compare(b.Remote))
	})
	return out[:min(n, len(out))]
}
