package policy

import (
	"encoding/json"
	"sync"
	"time"

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
	work sync.WaitGroup // of those that nobody waits for
}

// flight is one of them.
type flight struct {
	landed chan struct{}
	result json.RawMessage // once landed; nil if it may not be kept
	fresh  time.Duration
	done   bool
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
		return open, false
	}
	one := &flight{landed: make(chan struct{})}
	s.open[key] = one
	return one, true
}

// land ends a flight, once.
func (f *flights) land(key state.CacheKey, one *flight, result json.RawMessage, fresh time.Duration) {
	s := &f.shards[key[0]%flightShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if one.done {
		return
	}
	one.done, one.result, one.fresh = true, result, fresh
	close(one.landed)
	delete(s.open, key)
}
