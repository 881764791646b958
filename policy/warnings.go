package policy

import (
	"hash/maphash"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Warnings are remembered at most, and by how many shards: each call beyond warn_at asks, and an LRU has one lock.
const (
	warnings      = 4096
	warningShards = 64
)

// recentWarnings remembers what was warned of, so that the log says it once.
type recentWarnings struct {
	seed   maphash.Seed
	shards [warningShards]*lru.Cache[warning, time.Time] // to when it may be said again
}

// warning is what the log says of a bucket.
type warning struct{ what, bucket string }

func newRecentWarnings() *recentWarnings {
	w := &recentWarnings{seed: maphash.MakeSeed()}
	for i := range w.shards {
		shard, err := lru.New[warning, time.Time](warnings / warningShards)
		if err != nil {
			panic(err) // the size is positive
		}
		w.shards[i] = shard
	}
	return w
}

// once reports whether a warning was not given in a while.
func (w *recentWarnings) once(what warning, while time.Duration) bool {
	now := time.Now()
	seen := w.shards[maphash.String(w.seed, what.bucket)%warningShards]
	if until, ok := seen.Get(what); ok && now.Before(until) {
		return false
	}
	seen.Add(what, now.Add(while))
	return true
}
