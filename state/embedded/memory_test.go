package embedded

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
	"github.com/headgate/headgate/state/statetest"
)

func TestCache(t *testing.T) {
	t.Parallel()
	statetest.Cache(t, subject)
}

func TestBus(t *testing.T) {
	t.Parallel()
	statetest.Bus(t, subject)
}

func TestLogs(t *testing.T) {
	t.Parallel()
	statetest.Logs(t, subject)
}

func cacheKey(n int) (key state.CacheKey) {
	binary.BigEndian.PutUint64(key[:], uint64(n)*0x9e3779b97f4a7c15)
	return key
}

// However much is put, the cache and its tags stay within their bytes, and what was
// used last stays.
func TestACacheIsBounded(t *testing.T) {
	t.Parallel()
	const bytes = 32 << 20
	e := opened(t, inFolder(t), Options{CacheBytes: bytes})
	defer closed(t, e)
	c := e.Cache()
	put := func(key state.CacheKey, size int, tags ...string) {
		entry := state.CacheEntry{Value: make([]byte, size), TTL: time.Hour, Tags: tags}
		if err := c.Put(t.Context(), key, entry, 0); err != nil {
			t.Fatal(err)
		}
	}
	put(cacheKey(0), 10, "kept")
	for n := range 2000 {
		put(cacheKey(n+1), 40_000, "all", string(rune('a'+n)))
		if got, _, _ := c.Get(t.Context(), cacheKey(0)); got.Value == nil {
			t.Fatalf("what is used all the time went after %d others", n)
		}
	}
	put(cacheKey(3000), 2<<20)
	if got, _, _ := c.Get(t.Context(), cacheKey(3000)); got.Value != nil {
		t.Error("a value larger than a shard is kept")
	}
	var used, counted int64
	entries, tags := 0, 0
	for i := range cacheShards {
		sh := &c.shards[i]
		used += sh.used
		entries += sh.entries.Len()
		tags += len(c.tags[i].tags)
		for _, entry := range sh.entries.Values() {
			counted += entry.size
		}
	}
	if used > bytes || used != counted || entries < 500 || tags > entries+2 {
		t.Errorf("%d bytes are used, %d counted, in %d entries with %d tags", used, counted, entries, tags)
	}
}

func TestLogsAreBoundedTogether(t *testing.T) {
	t.Parallel()
	e := opened(t, inFolder(t), Options{LogBytes: 1 << 20})
	defer closed(t, e)
	bounds := state.LogBounds{Entries: 100, Bytes: 1 << 20, Keep: time.Hour}
	gaps := 0
	for n := range 400 {
		name := string(rune('a' + n))
		if _, err := e.Logs().Append(t.Context(), name, make([]byte, 10_000), bounds); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Logs().Range(t.Context(), name, 0, 1); errors.Is(err, state.ErrGap) {
			gaps++
		}
	}
	if used := e.logs.used.Load(); used > 1<<20 || gaps < 200 || gaps == 400 {
		t.Errorf("%d bytes are used, %d of 400 logs have a gap", used, gaps)
	}
	for n := range 400 {
		if err := e.Logs().Drop(t.Context(), string(rune('a'+n))); err != nil {
			t.Fatal(err)
		}
	}
	if used := e.logs.used.Load(); used != 0 {
		t.Errorf("%d bytes are used by nothing", used)
	}
}

func TestAClosedEngineWakesWhoListens(t *testing.T) {
	t.Parallel()
	e := opened(t, inFolder(t), Options{})
	l, err := e.Bus().Subscribe(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	closed(t, e)
	if _, err := l.Next(t.Context()); !errors.Is(err, state.ErrClosed) {
		t.Errorf("next: %v", err)
	}
	l.Close()
	if err := e.Bus().Publish(t.Context(), "a", nil); !errors.Is(err, state.ErrClosed) {
		t.Errorf("publish: %v", err)
	}
	if _, err := e.Bus().Subscribe(t.Context(), "a"); !errors.Is(err, state.ErrClosed) {
		t.Errorf("subscribe: %v", err)
	}
}
