package policy

import (
	"sync"

	"github.com/headgate/headgate/state"
)

// flightShards divide the calls that others may wait for, so that they share no lock.
const flightShards = 64

// flights are the calls that are made now and whose answers may serve others too.
type flights struct {
	shards [flightShards]struct {
		mu   sync.Mutex
		open map[state.CacheKey]*flight
	}
}

// flight is one of them.
type flight struct {
	landed chan struct{} // closed once there is a landing; nil as long as nobody waits for it
	landing
	done bool
}

// landing is what became of a flight.
type landing struct {
	result    []byte          // nil if there is none, or none that may be kept
	mark      state.CacheMark // of the result: when it was asked for
	abandoned bool            // whoever made the call did not wait for its end
}

func (f *flights) init() {
	for i := range f.shards {
		f.shards[i].open = map[state.CacheKey]*flight{}
	}
}

// join returns the flight of a key, and whether the caller is the first and has to make
// the call.
func (f *flights) join(key state.CacheKey) (*flight, bool) {
	s := &f.shards[key[0]%flightShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if open, ok := s.open[key]; ok {
		if open.landed == nil {
			open.landed = make(chan struct{})
		}
		return open, false
	}
	one := &flight{}
	s.open[key] = one
	return one, true
}

// land ends a flight. What it came to first holds.
func (f *flights) land(key state.CacheKey, one *flight, l landing) {
	s := &f.shards[key[0]%flightShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if one.done {
		return
	}
	one.done, one.landing = true, l
	if one.landed != nil {
		close(one.landed)
	}
	delete(s.open, key)
}
