package model

import (
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// The states of a backend beside those of [upstream.BackendStatus].
const (
	BackendCold    = "cold"    // it is asked for a token with the next call
	BackendLoading = "loading" // it was asked for one, and has not answered yet
)

// Status is how a model does, at one moment.
type Status struct {
	Available bool // calls are served
	Warming   bool // a backend loads the model
	Waiting   int  // calls in the queue
	InFlight  int  // calls that backends have
	Healthy   int  // backends that serve calls, or will with the next
	Total     int  // backends
}

// Status returns how the model does, without asking anybody.
func (p *Pool) Status() Status {
	s := Status{Waiting: p.queue.Status().Waiting}
	now := p.now()
	for _, m := range *p.members.Load() {
		s.Total++
		s.InFlight += int(m.flying.Load())
		switch is := m.state(now); {
		case is == loading:
			s.Warming = true
		case is == cold && m.failure() != nil, !m.Usable():
		default:
			s.Available = true
			s.Healthy++
		}
	}
	return s
}

// Place returns which place in the queue the caller's next call has, from 1; 0 if none waits.
func (p *Pool) Place(caller *rpc.Principal) int { return p.queue.Place(caller) }

// Queue returns what waits.
func (p *Pool) Queue() upstream.QueueStatus { return p.queue.Status() }

// Backends returns how the backends do, without asking them.
func (p *Pool) Backends() []upstream.BackendStatus {
	out := p.pool.Status()
	now := p.now()
	for _, m := range *p.members.Load() {
		for i := range out {
			if out[i].Backend != m.ID() || out[i].State != upstream.BackendUp {
				continue
			}
			switch m.state(now) {
			case cold:
				out[i].State = BackendCold
				if m.failure() != nil {
					out[i].State = upstream.BackendDown
				}
			case loading:
				out[i].State = BackendLoading
			case loaded:
			}
		}
	}
	return out
}
