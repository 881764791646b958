package upstream

import "time"

// The states of a backend.
const (
	BackendUp       = "up"
	BackendDown     = "down"    // probes found it unwell
	BackendOpen     = "open"    // it kept failing and is left alone
	BackendEjected  = "ejected" // it failed more than others, which are preferred for a while
	BackendDraining = "draining"
)

// BackendStatus is how a backend does, at one moment. It is a copy.
type BackendStatus struct {
	Upstream  string
	Backend   string        // HOST:PORT
	State     string        // one of those above
	Breaker   string        // closed, open or half-open; empty if there is none
	InFlight  int           // calls whose reply is not closed
	Weight    int           // as configured
	Share     float64       // of the weight, from 0 to 1: less than 1 while it starts slowly
	Row       int           // failures in a row
	Failures  uint64        // ever
	Ejections int           // how often it was ejected, less when it was well for long
	Back      time.Duration // until it is called again; 0 if it is, or that is not known
}

// Status returns how all backends do, in the order of the configuration.
func (p *Pool) Status() []BackendStatus {
	all := *p.backends.Load()
	out := make([]BackendStatus, len(all))
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for i, b := range all {
		out[i] = b.status(now)
	}
	return out
}

// status is called under the pool's lock.
func (b *Backend) status(now int64) BackendStatus {
	weight := b.weight.Load()
	s := BackendStatus{
		Upstream: b.pool.cfg.Upstream, Backend: b.cfg.ID, State: BackendUp, Breaker: b.breaker.state(),
		InFlight: int(b.inFlight.Load()), Weight: int(weight), Share: b.share(b.pool.now) / float64(weight),
		Row: int(b.record.row.Load()), Failures: uint64(b.record.fails.Load()), Ejections: b.record.times,
	}
	until, open := b.ejected.Load(), b.breaker.until.Load()
	switch {
	case b.draining.Load():
		s.State = BackendDraining
	case open > now:
		s.State, s.Back = BackendOpen, time.Duration(open-now)
	case until > now:
		s.State, s.Back = BackendEjected, time.Duration(until-now)
	case b.down.Load():
		s.State = BackendDown
	}
	return s
}
