package state

import (
	"context"
	"time"
)

// CacheKey names a cached value. It is a digest of all that the value depends on,
// among it who may see it.
type CacheKey [32]byte

// CacheMark is a moment between invalidations.
type CacheMark uint64

// Cached is a value as it was put, or the zero Cached if there is none.
type Cached struct {
	Value []byte        // must not be changed; nil if there is none
	Age   time.Duration // since it was put
	Fresh time.Duration // for how long it still is; negative or zero if it is stale
}

// CacheEntry is a value to be put.
type CacheEntry struct {
	Value []byte        // must not be changed afterwards
	TTL   time.Duration // how long it is fresh
	Stale time.Duration // how long after that it may still be had
	Tags  []string      // what it is made of; invalidating one of them removes it
}

// Cache keeps values for a while, within bounds: any of them may be gone at any time,
// and all after a crash. All methods may be called concurrently.
type Cache interface {
	// Get returns what is cached, and a mark to put in its place what is fetched from
	// now on. The only error is [ErrUnavailable].
	Get(ctx context.Context, key CacheKey) (Cached, CacheMark, error)
	// Put caches a value that was fetched after the mark. It is dropped if one of its
	// tags was invalidated since: it may be from before.
	Put(ctx context.Context, key CacheKey, entry CacheEntry, mark CacheMark) error
	// Invalidate removes all values with one of these tags.
	Invalidate(ctx context.Context, tags ...string) error
}
