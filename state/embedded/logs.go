package embedded

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/headgate/headgate/state"
)

// Logs is the part of an engine that keeps what was sent, in memory.
type Logs struct {
	clock  clock
	room   int64 // bytes of all logs
	used   atomic.Int64
	seed   maphash.Seed
	shards [shardCount]logShard
}

var _ state.Logs = (*Logs)(nil)

type logShard struct {
	mu   sync.Mutex
	logs map[string]*log
}

type log struct {
	last    uint64   // number of the last entry
	entries [][]byte // the last ones
	bytes   int
	until   int64
}

func newLogs(c clock, o Options) *Logs {
	out := &Logs{clock: c, room: o.LogBytes, seed: maphash.MakeSeed()}
	for i := range out.shards {
		out.shards[i].logs = make(map[string]*log)
	}
	return out
}

func (l *Logs) shard(name string) *logShard {
	return &l.shards[maphash.String(l.seed, name)%shardCount]
}

// find returns a log whose time is not over, or nil. The shard is locked.
func (l *Logs) find(sh *logShard, name string) *log {
	g := sh.logs[name]
	if g != nil && l.clock.nanos() >= g.until {
		l.forget(sh, name)
		return nil
	}
	return g
}

// Append adds an entry. It does not fail; where all logs together are too much, the
// entry leaves only its number.
func (l *Logs) Append(_ context.Context, name string, data []byte, bounds state.LogBounds) (uint64, error) {
	sh := l.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	g := l.find(sh, name)
	if g == nil {
		g = &log{}
		sh.logs[name] = g
	}
	g.last++
	g.until = sum(l.clock.nanos(), int64(bounds.Keep))
	g.entries = append(g.entries, data)
	l.grow(g, len(data)+entryOverhead)
	for len(g.entries) > 0 && (len(g.entries) > bounds.Entries || g.bytes-len(g.entries)*entryOverhead > bounds.Bytes) {
		l.cut(g)
	}
	for len(g.entries) > 0 && l.used.Load() > l.room {
		l.cut(g)
	}
	return g.last, nil
}

func (l *Logs) grow(g *log, by int) {
	g.bytes += by
	l.used.Add(int64(by))
}

// cut drops the oldest entry.
func (l *Logs) cut(g *log) {
	l.grow(g, -len(g.entries[0])-entryOverhead)
	g.entries[0] = nil
	g.entries = g.entries[1:]
}

// Range returns entries after the one with that number.
func (l *Logs) Range(_ context.Context, name string, after uint64, limit int) ([]state.LogEntry, error) {
	sh := l.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	g := l.find(sh, name)
	if g == nil {
		g = &log{}
	}
	before := g.last - uint64(len(g.entries))
	if after < before || after > g.last {
		return nil, state.ErrGap
	}
	var out []state.LogEntry
	for i, data := range g.entries[after-before:] {
		if i >= limit {
			break
		}
		out = append(out, state.LogEntry{Seq: after + uint64(i) + 1, Data: data})
	}
	return out, nil
}

// Drop forgets a log.
func (l *Logs) Drop(_ context.Context, name string) error {
	sh := l.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	l.forget(sh, name)
	return nil
}

func (l *Logs) forget(sh *logShard, name string) {
	if g := sh.logs[name]; g != nil {
		l.grow(g, -g.bytes)
		delete(sh.logs, name)
	}
}

// sweep forgets those whose time is over.
func (l *Logs) sweep() {
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.Lock()
		for name := range sh.logs {
			l.find(sh, name)
		}
		sh.mu.Unlock()
	}
}
