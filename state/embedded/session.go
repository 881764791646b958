package embedded

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/state"
)

const (
	sessionBucket = "sessions"
	shardCount    = 64
	sample        = 8 // entries that are compared to find one to give up
)

// Sessions is the part of an engine that remembers sessions.
type Sessions struct {
	writes *committer
	seed   maphash.Seed
	limit  int          // of one shard
	room   int64        // bytes of all belongings together
	held   atomic.Int64 // bytes of all belongings
	shards [shardCount]sessionShard
}

var _ state.Sessions = (*Sessions)(nil)

type sessionShard struct {
	mu         sync.Mutex
	records    map[string]sessionRecord
	belongings map[string]*belongings // of those sessions that have some
}

func newSessions(writes *committer, o Options) *Sessions {
	s := &Sessions{writes: writes, seed: maphash.MakeSeed(), limit: max(o.Sessions/shardCount, 1), room: o.SessionBytes}
	for i := range s.shards {
		s.shards[i].records = make(map[string]sessionRecord)
		s.shards[i].belongings = make(map[string]*belongings)
	}
	return s
}

func (s *Sessions) shard(key string) *sessionShard {
	return &s.shards[maphash.String(s.seed, key)%shardCount]
}

// Recall returns what is remembered of a session. It does not fail.
func (s *Sessions) Recall(key string) (state.Session, error) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	r, ok := sh.records[key]
	if !ok || r.expired(time.Now()) {
		return state.Session{}, nil
	}
	out := r.session()
	sh.belongings[key].show(&out)
	return out, nil
}

// Note says when a session was used.
func (s *Sessions) Note(key string, used, until time.Time) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.change(sh, key, until, func(r *sessionRecord) { r.used = max(r.used, used.UnixMilli()) })
}

// SetLevel notes which log messages a session's client wants, and waits until that is
// on disk.
func (s *Sessions) SetLevel(ctx context.Context, key, level string, until time.Time) error {
	if len(level) > state.MaxLevel {
		return fmt.Errorf("state: a level of %d bytes", len(level))
	}
	sh := s.shard(key)
	sh.mu.Lock()
	s.change(sh, key, until, func(r *sessionRecord) { r.level = level })
	sh.mu.Unlock()
	return s.writes.sync(ctx)
}

// End notes that a session has ended, and waits until that is on disk.
func (s *Sessions) End(ctx context.Context, key string, until time.Time) error {
	sh := s.shard(key)
	sh.mu.Lock()
	s.change(sh, key, until, func(r *sessionRecord) { r.ended = true })
	s.dropBelongings(sh, key)
	sh.mu.Unlock()
	return s.writes.sync(ctx)
}

// change alters a record, which is made if need be, in memory and soon on disk. The
// shard's lock is held, so that the file sees changes in their order.
func (s *Sessions) change(sh *sessionShard, key string, until time.Time, alter func(*sessionRecord)) {
	r, known := sh.records[key]
	before := r
	r.until = max(r.until, until.UnixMilli())
	alter(&r)
	if r == before {
		return
	}
	if !known && len(sh.records) >= s.limit {
		s.giveUp(sh)
	}
	sh.records[key] = r
	s.writes.put(sessionBucket, key, r.encode(key))
}

// giveUp forgets one record. That a session has ended matters more than when another
// was used; among equals the one that expires first goes.
func (s *Sessions) giveUp(sh *sessionShard) {
	victim, seen := "", 0
	for key, r := range sh.records {
		if seen == 0 || r.mattersLess(sh.records[victim]) {
			victim = key
		}
		if seen++; seen == sample {
			break
		}
	}
	s.drop(sh, victim)
}

func (s *Sessions) drop(sh *sessionShard, key string) {
	delete(sh.records, key)
	s.writes.put(sessionBucket, key, nil)
	s.dropBelongings(sh, key)
}

// forget drops what has expired.
func (s *Sessions) forget(now time.Time) {
	for i := range s.shards {
		s.forgetShard(&s.shards[i], now)
	}
}

func (s *Sessions) forgetShard(sh *sessionShard, now time.Time) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for key, r := range sh.records {
		if r.expired(now) {
			s.drop(sh, key)
		}
	}
}

// load takes over a record from the file.
func (s *Sessions) load(key string, value []byte) error {
	var r sessionRecord
	if err := r.decode(key, value); err != nil {
		return err
	}
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if len(sh.records) >= s.limit {
		s.giveUp(sh)
	}
	sh.records[key] = r
	return nil
}
