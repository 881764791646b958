package upstream

import (
	"slices"
	"strings"
	"time"
)

// QueueStatus is what an upstream's admission looks like at one moment, for operators and metrics. Counts begin with the process.
type QueueStatus struct {
	Upstream string
	Limit    int // of calls in flight; 0 where there is none, and nothing else holds then
	InFlight int
	Waiting  int
	Size     int // of the queue
	Oldest   time.Duration
	Bands    []BandStatus      // all of them, highest first
	Tenants  []TenantStatus    // those that wait, those with most calls first
	Shed     map[string]uint64 // calls that got no slot, by cause: see ShedCauses
}

// BandStatus is what waits in one band.
type BandStatus struct {
	Band    string
	Waiting int
	Oldest  time.Duration // how long the first of it has waited
}

// TenantStatus is what waits of one tenant in one band.
type TenantStatus struct {
	Tenant  string // KIND:NAME
	Band    string
	Weight  int
	Waiting int
	Oldest  time.Duration
}

// ShedCauses are the keys of QueueStatus.Shed.
func ShedCauses() []string { return slices.Clone(causeNames[admitted+1:]) }

// Bands are the names of the bands of priority, highest first.
func Bands() []string { return slices.Clone(bandNames[:]) }

// Status returns what there is to see. It holds up calls that wait for as long as it takes to look at each tenant.
func (a *Admission) Status() QueueStatus {
	out := QueueStatus{
		Upstream: a.upstream, Limit: int(a.most()), Size: a.bounds.Size, InFlight: int(a.flying.Load()),
		Bands: make([]BandStatus, 0, bands), Shed: make(map[string]uint64, causes),
	}
	for why := admitted + 1; why < causes; why++ {
		out.Shed[causeNames[why]] = a.shed[why].Load()
	}
	now := time.Now()
	a.mu.Lock()
	out.Waiting = a.queue.waiting
	for i := range bands {
		b := BandStatus{Band: bandNames[i], Waiting: a.queue.bands[i].waiting}
		a.queue.bands[i].each(func(f *flow) {
			t := TenantStatus{Tenant: f.tenant.String(), Band: b.Band, Weight: int(f.weight), Waiting: f.waiting, Oldest: now.Sub(f.first.since)}
			b.Oldest = max(b.Oldest, t.Oldest)
			out.Tenants = append(out.Tenants, t)
		})
		out.Oldest = max(out.Oldest, b.Oldest)
		out.Bands = append(out.Bands, b)
	}
	a.mu.Unlock()
	slices.SortFunc(out.Tenants, func(x, y TenantStatus) int {
		if x.Waiting != y.Waiting {
			return y.Waiting - x.Waiting
		}
		return strings.Compare(x.Tenant, y.Tenant)
	})
	return out
}
