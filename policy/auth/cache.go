package auth

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// verifiedFor bounds how long the result of checking a token is kept, so that a
	// key which its issuer withdrew is not trusted for as long as tokens last.
	verifiedFor = time.Minute

	cacheShards    = 16
	tokensPerShard = 1024
)

// cache remembers what was found out about tokens, by their digests. It is bounded:
// the one used longest ago is forgotten.
type cache struct{ shards [cacheShards]cacheShard }

type cacheShard struct {
	mu    sync.Mutex
	known *simplelru.LRU[digest, *finding]
}

// finding is what was found out about a token: who its bearer is, or why it is not
// good.
type finding struct {
	identity *identity
	refusal  *refusal
	until    time.Time // it is forgotten then
}

func newCache() *cache {
	c := &cache{}
	for i := range c.shards {
		c.shards[i].known, _ = simplelru.NewLRU[digest, *finding](tokensPerShard, nil) // fails for sizes below 1 only
	}
	return c
}

// get returns what is known of a token, nil for nothing.
func (c *cache) get(d *digest, now time.Time) *finding {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.known.Get(*d)
	if !ok {
		return nil
	}
	if !now.Before(f.until) {
		s.known.Remove(*d)
		return nil
	}
	return f
}

// put keeps a finding for a while, and not longer than the token is valid.
func (c *cache) put(d *digest, f *finding, now time.Time, longest time.Duration) {
	f.until = now.Add(longest)
	if f.identity != nil && f.identity.until.Before(f.until) {
		f.until = f.identity.until
	}
	if !now.Before(f.until) {
		return
	}
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known.Add(*d, f)
}

func (c *cache) shard(d *digest) *cacheShard { return &c.shards[d[0]%cacheShards] }
