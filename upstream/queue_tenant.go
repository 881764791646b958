package upstream

import (
	"net/netip"
	"time"

	"github.com/headgate/headgate/rpc"
)

// The kinds of tenant.
const (
	anAddress = iota // nobody is known by more
	anOrg
	aKey
	aUser
)

// tenant is who gets a fair share: an organisation; without one a key or user; without either a network address.
type tenant struct {
	kind    uint8
	name    string
	address netip.Addr
}

// String returns what a tenant is called where operators read it.
func (t tenant) String() string {
	switch t.kind {
	case anOrg:
		return "org:" + t.name
	case aKey:
		return "key:" + t.name
	case aUser:
		return "user:" + t.name
	}
	return "address:" + t.address.String()
}

// tenantOf returns whose call it is.
func tenantOf(c *rpc.Call) tenant {
	p := &c.Principal
	switch {
	case p.Org != "":
		return tenant{kind: anOrg, name: p.Org}
	case p.Key != "":
		return tenant{kind: aKey, name: p.Key}
	case p.User != "":
		return tenant{kind: aUser, name: p.User}
	}
	return tenant{address: networkOf(c.Remote.Addr())}
}

// networkOf returns what one client can take addresses from (RFC 4291, section 2.5.1: an interface identifier has 64 bits).
func networkOf(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if !a.Is6() {
		return a
	}
	prefix, _ := a.WithZone("").Prefix(64) // which fits
	return prefix.Addr()
}

// waiterOf returns a call as it waits.
func (a *Admission) waiterOf(c *rpc.Call, t tenant, now time.Time) *waiter {
	w := &waiter{tenant: t, since: now, patience: a.bounds.MaxWait, ready: make(chan struct{})}
	if most := allotted(c); most > 0 {
		w.patience = min(w.patience, most)
	}
	rule := a.rank(&c.Principal)
	w.weight = int64(rule.Weight)
	for i, name := range bandNames {
		if name == rule.Band {
			w.band = i
		}
	}
	return w
}
