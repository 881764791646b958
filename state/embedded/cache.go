package embedded

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/headgate/headgate/state"
)

const (
	cacheShards   = 32
	entryOverhead = 320  // bytes of an entry, or of a tag it has, besides what is in it, about
	maxRemembered = 1024 // invalidations, for values that are being fetched
)

// Cache is the part of an engine that keeps values. An entry is good as long as none of
// its tags was invalidated after its mark; invalidating touches no entry.
type Cache struct {
	clock  clock
	room   int64 // bytes of a shard
	seed   maphash.Seed
	shards [cacheShards]cacheShard
	tags   [cacheShards]tagShard

	last   atomic.Uint64 // number of the last invalidation
	mu     sync.Mutex
	recent [maxRemembered]string // their tags, that of number n at n%maxRemembered
}

var _ state.Cache = (*Cache)(nil)

type cacheShard struct {
	mu      sync.Mutex
	entries *simplelru.LRU[state.CacheKey, cacheEntry]
	used    int64
}

// cacheEntry is kept by value and points to little: what the collector has to follow it follows again and again.
type cacheEntry struct {
	value       []byte
	put         int64
	fresh, good int64 // until when
	mark        uint64
	size        int64
	tags        tags
}

// tags are those of an entry, which are seldom more than two.
type tags struct {
	few  [2]*tag
	more []*tag
}

func (t *tags) add(one *tag) {
	for i := range t.few {
		if t.few[i] == nil {
			t.few[i] = one
			return
		}
	}
	t.more = append(t.more, one)
}

func (t *tags) all(yield func(*tag) bool) {
	for _, one := range t.few {
		if one != nil && !yield(one) {
			return
		}
	}
	for _, one := range t.more {
		if !yield(one) {
			return
		}
	}
}

type tagShard struct {
	mu   sync.Mutex
	tags map[string]*tag
}

// tag is shared by the entries that have it, and forgotten with the last of them.
type tag struct {
	name        string
	entries     int           // guarded by the shard
	invalidated atomic.Uint64 // when, last
}

func newCache(c clock, o Options) *Cache {
	out := &Cache{clock: c, room: o.CacheBytes / cacheShards, seed: maphash.MakeSeed()}
	for i := range cacheShards {
		// Bytes are what bounds it; the number can be no more than that of the smallest.
		most := int(out.room/entryOverhead) + 1
		out.shards[i].entries, _ = simplelru.NewLRU(most, out.gone) // the only error is about most
		out.tags[i].tags = make(map[string]*tag)
	}
	return out
}

func (c *Cache) shard(key state.CacheKey) *cacheShard {
	return &c.shards[binary.LittleEndian.Uint32(key[:])%cacheShards]
}

// Get returns what is cached. It does not fail.
func (c *Cache) Get(_ context.Context, key state.CacheKey) (state.Cached, state.CacheMark, error) {
	mark := state.CacheMark(c.last.Load()) // before the look, so that a miss is not older than its mark
	sh := c.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e, ok := sh.entries.Get(key)
	if !ok {
		return state.Cached{}, mark, nil
	}
	now := c.clock.nanos()
	if now >= e.good || e.stale() {
		sh.entries.Remove(key)
		return state.Cached{}, mark, nil
	}
	return state.Cached{Value: e.value, Age: time.Duration(now - e.put), Fresh: time.Duration(e.fresh - now)}, mark, nil
}

func (e *cacheEntry) stale() bool {
	for t := range e.tags.all {
		if t.invalidated.Load() > e.mark {
			return true
		}
	}
	return false
}

// Put caches a value. It does not fail: what is too large is not kept.
func (c *Cache) Put(_ context.Context, key state.CacheKey, entry state.CacheEntry, mark state.CacheMark) error {
	now := c.clock.nanos()
	e := cacheEntry{value: entry.Value, put: now, fresh: sum(now, int64(max(entry.TTL, 0))), mark: uint64(mark)}
	e.good = sum(e.fresh, int64(max(entry.Stale, 0)))
	e.size = int64(len(entry.Value)) + entryOverhead
	for _, name := range entry.Tags {
		e.size += int64(len(name)) + entryOverhead
	}
	if e.size > c.room || e.good <= now || e.value == nil {
		return nil
	}
	e.tags = c.tagsOf(entry.Tags)
	sh := c.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if c.invalidatedSince(uint64(mark), entry.Tags) {
		c.release(&e)
		return nil
	}
	sh.entries.Remove(key) // adding over an entry would not tell that it is gone
	sh.entries.Add(key, e)
	for sh.used += e.size; sh.used > c.room; {
		sh.entries.RemoveOldest()
	}
	return nil
}

// Invalidate removes all values with one of these tags. It does not fail.
func (c *Cache) Invalidate(_ context.Context, names ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		n := c.last.Load() + 1
		c.recent[n%maxRemembered] = name
		c.last.Store(n)
		ts := c.tagShard(name)
		ts.mu.Lock()
		if t := ts.tags[name]; t != nil {
			t.invalidated.Store(n)
		}
		ts.mu.Unlock()
	}
	return nil
}

// invalidatedSince reports whether one of the tags was invalidated after a mark, or
// that was so long ago that nobody knows. The tags have been made: an invalidation
// that is not seen here sees them.
func (c *Cache) invalidatedSince(mark uint64, names []string) bool {
	if c.last.Load() == mark || len(names) == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.last.Load()
	if mark > last || last-mark > maxRemembered {
		return true
	}
	for n := mark + 1; n <= last; n++ {
		if slices.Contains(names, c.recent[n%maxRemembered]) {
			return true
		}
	}
	return false
}

func (c *Cache) tagShard(name string) *tagShard {
	return &c.tags[maphash.String(c.seed, name)%cacheShards]
}

// tagsOf returns the tags, one more entry of each.
func (c *Cache) tagsOf(names []string) (out tags) {
	for _, name := range names {
		ts := c.tagShard(name)
		ts.mu.Lock()
		t := ts.tags[name]
		if t == nil {
			t = &tag{name: name}
			ts.tags[name] = t
		}
		t.entries++
		ts.mu.Unlock()
		out.add(t)
	}
	return out
}

// release takes an entry from its tags.
func (c *Cache) release(e *cacheEntry) {
	for t := range e.tags.all {
		ts := c.tagShard(t.name)
		ts.mu.Lock()
		if t.entries--; t.entries == 0 {
			delete(ts.tags, t.name)
		}
		ts.mu.Unlock()
	}
}

// gone is called for each entry that leaves, with its shard locked.
func (c *Cache) gone(key state.CacheKey, e cacheEntry) {
	c.shard(key).used -= e.size
	c.release(&e)
}
