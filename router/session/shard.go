package session

import (
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Bounds of one shard. All shards together hold 131,072 live sessions and remember
// as many ended ones.
const (
	maxLive  = 2048
	maxEnded = 2048
	sample   = 8 // entries that are compared to find one to give up
)

// shard is a part of the live sessions under one lock.
type shard struct {
	mu    sync.Mutex
	live  map[string]*Session
	ended map[string]time.Time // sessions that ended while their id was good, and until when it would be
}

func (sh *shard) find(key string) (*Session, bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s, ok := sh.live[key]
	return s, ok
}

// add stores a session, or returns the one that another request stored first, and the
// one whose live state was given up for it, if any was.
func (sh *shard) add(s *Session) (stored, evicted *Session, err error) {
	key := s.client.Session
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if first, ok := sh.live[key]; ok {
		return first, nil, nil
	}
	if _, ok := sh.ended[key]; ok {
		return nil, nil, errUnknown()
	}
	if len(sh.live) >= maxLive {
		if evicted = sh.evict(); evicted == nil {
			return nil, nil, rpc.Errorf(rpc.Busy, "too many sessions are in use")
		}
	}
	sh.live[key] = s
	return s, evicted, nil
}

// evict gives up the live state of a session that has not been used for long and
// holds nothing, and returns it. Its id may still be good: it is not remembered as ended.
func (sh *shard) evict() *Session {
	var oldest *Session
	seen := 0
	for _, s := range sh.live {
		if !s.busy() && (oldest == nil || s.used.Load() < oldest.used.Load()) {
			oldest = s
		}
		if seen++; seen == sample && oldest != nil {
			break
		}
	}
	if oldest != nil {
		delete(sh.live, oldest.client.Session)
	}
	return oldest
}

// remove ends a session, which is remembered while its id would be good. It returns
// false if the session is not live.
func (sh *shard) remove(s *Session, until time.Time) bool {
	key := s.client.Session
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.live[key] != s {
		return false
	}
	delete(sh.live, key)
	if time.Now().Before(until) {
		sh.remember(key, until)
	}
	return true
}

// remember notes an ended session. Where too many are noted, one that is soon
// forgotten anyway goes first.
func (sh *shard) remember(key string, until time.Time) {
	if len(sh.ended) >= maxEnded {
		first, seen := "", 0
		for k, t := range sh.ended {
			if first == "" || t.Before(sh.ended[first]) {
				first = k
			}
			if seen++; seen == sample {
				break
			}
		}
		delete(sh.ended, first)
	}
	sh.ended[key] = until
}

// forget drops what no id can lead to any more.
func (sh *shard) forget(now time.Time) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for key, until := range sh.ended {
		if now.After(until) {
			delete(sh.ended, key)
		}
	}
}

// sessions returns the live ones.
func (sh *shard) sessions() []*Session {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if len(sh.live) == 0 {
		return nil
	}
	out := make([]*Session, 0, len(sh.live))
	for _, s := range sh.live {
		out = append(out, s)
	}
	return out
}
