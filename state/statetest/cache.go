package statetest

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
)

// Cache tests that an engine keeps values for a while, and none that was invalidated.
func Cache(t *testing.T, open Open) {
	t.Helper()
	runAll(t, open, map[string]func(t *testing.T, s *Subject){
		"what was put can be had":                     cachedValue,
		"a value is fresh, then stale, then gone":     cachedTimes,
		"an invalidated tag takes its values with it": invalidatedTags,
		"what was fetched before is not kept":         fetchedBefore,
		"nobody reads what was invalidated":           cacheCrowd,
	})
}

func cacheKey(n int) (key state.CacheKey) {
	binary.BigEndian.PutUint64(key[8:], uint64(n))
	key[0] = byte(n)
	return key
}

func get(t *testing.T, s *Subject, n int) (state.Cached, state.CacheMark) {
	t.Helper()
	got, mark, err := s.Cache.Get(t.Context(), cacheKey(n))
	if err != nil {
		t.Errorf("get: %v", err)
	}
	return got, mark
}

func put(t *testing.T, s *Subject, n int, mark state.CacheMark, value string, ttl, stale time.Duration, tags ...string) {
	t.Helper()
	entry := state.CacheEntry{Value: []byte(value), TTL: ttl, Stale: stale, Tags: tags}
	if err := s.Cache.Put(t.Context(), cacheKey(n), entry, mark); err != nil {
		t.Errorf("put: %v", err)
	}
}

func invalidate(t *testing.T, s *Subject, tags ...string) {
	t.Helper()
	if err := s.Cache.Invalidate(t.Context(), tags...); err != nil {
		t.Errorf("invalidate: %v", err)
	}
}

func holds(t *testing.T, s *Subject, n int, want string) {
	t.Helper()
	if got, _ := get(t, s, n); string(got.Value) != want {
		t.Errorf("%d is %q, want %q", n, got.Value, want)
	}
}

func cachedValue(t *testing.T, s *Subject) {
	t.Helper()
	got, mark := get(t, s, 1)
	if got.Value != nil {
		t.Errorf("nothing is %q", got.Value)
	}
	put(t, s, 1, mark, "a", time.Minute, 0)
	put(t, s, 2, mark, "b", time.Minute, 0)
	holds(t, s, 1, "a")
	holds(t, s, 2, "b")
	put(t, s, 1, mark, "c", time.Minute, 0)
	holds(t, s, 1, "c")
	put(t, s, 3, mark, "d", 0, 0)
	holds(t, s, 3, "")
}

func cachedTimes(t *testing.T, s *Subject) {
	t.Helper()
	_, mark := get(t, s, 1)
	put(t, s, 1, mark, "a", time.Minute, 30*time.Second)
	s.Advance(20 * time.Second)
	if got, _ := get(t, s, 1); string(got.Value) != "a" || got.Age != 20*time.Second || got.Fresh != 40*time.Second {
		t.Errorf("fresh: %+v", got)
	}
	s.Advance(50 * time.Second)
	if got, _ := get(t, s, 1); string(got.Value) != "a" || got.Fresh > 0 {
		t.Errorf("stale: %+v", got)
	}
	s.Advance(20 * time.Second)
	holds(t, s, 1, "")
}

func invalidatedTags(t *testing.T, s *Subject) {
	t.Helper()
	_, mark := get(t, s, 1)
	put(t, s, 1, mark, "a", time.Minute, 0, "x", "y")
	put(t, s, 2, mark, "b", time.Minute, 0, "y")
	put(t, s, 3, mark, "c", time.Minute, 0)
	invalidate(t, s, "unknown", "x")
	holds(t, s, 1, "")
	holds(t, s, 2, "b")
	invalidate(t, s, "x", "y")
	holds(t, s, 2, "")
	holds(t, s, 3, "c")
	_, mark = get(t, s, 1)
	put(t, s, 1, mark, "d", time.Minute, 0, "x")
	holds(t, s, 1, "d")
}

func fetchedBefore(t *testing.T, s *Subject) {
	t.Helper()
	_, mark := get(t, s, 1)
	invalidate(t, s, "x")
	put(t, s, 1, mark, "old", time.Minute, 0, "x", "y")
	holds(t, s, 1, "")
	put(t, s, 1, mark, "other", time.Minute, 0, "y")
	holds(t, s, 1, "other")
	for range 5000 { // more than anybody remembers: then nothing old is kept
		invalidate(t, s, "z")
	}
	put(t, s, 2, mark, "old", time.Minute, 0, "x")
	holds(t, s, 2, "")
}

// cacheCrowd has sources that change, and readers that cache what they fetch. Once a
// change was announced nobody reads what was before.
func cacheCrowd(t *testing.T, s *Subject) {
	t.Helper()
	const sources = 3
	tags := [sources]string{"one", "two", "three"}
	var truth, announced [sources]atomic.Uint64
	var wg sync.WaitGroup
	var hits atomic.Int64
	for w := range 6 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			for range 3000 {
				at := random.IntN(sources)
				if random.IntN(20) == 0 {
					n := truth[at].Add(1)
					invalidate(t, s, tags[at])
					raise(&announced[at], n)
					continue
				}
				least := announced[at].Load()
				got, mark := get(t, s, at)
				if got.Value == nil {
					entry := state.CacheEntry{Value: binary.BigEndian.AppendUint64(nil, truth[at].Load()), TTL: time.Hour, Tags: tags[at : at+1]}
					if err := s.Cache.Put(t.Context(), cacheKey(at), entry, mark); err != nil {
						t.Errorf("put: %v", err)
					}
				} else if hits.Add(1); binary.BigEndian.Uint64(got.Value) < least {
					t.Errorf("%s: %d was read after %d was announced", tags[at], binary.BigEndian.Uint64(got.Value), least)
				}
			}
		})
	}
	wg.Wait()
	if hits.Load() == 0 {
		t.Error("nothing was ever found")
	}
}

func raise(a *atomic.Uint64, n uint64) {
	for old := a.Load(); old < n && !a.CompareAndSwap(old, n); old = a.Load() {
	}
}
