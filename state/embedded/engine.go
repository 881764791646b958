package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/bbolt"
)

// Options bounds an engine. Zero values mean the stated defaults.
type Options struct {
	Log          *slog.Logger
	Sessions     int   // sessions that are remembered; 131,072
	SessionBytes int64 // of what sessions have subscribed to and their clients said of themselves; 64 MiB
	Buckets      int   // of quotas, besides those that are empty; 262,144
	Holds        int   // of quotas, that are open; 262,144
	CacheBytes   int64 // of cached values; 256 MiB
	LogBytes     int64 // of logs; 64 MiB
	// ConversationBytes is of what was said to models, in memory and on disk; 64 MiB.
	ConversationBytes int64
	Jobs              int           // that are queued, running, or kept; 131,072
	JobBytes          int64         // of their payloads and results, on disk; 4 GiB
	LockWait          time.Duration // for another process to let go of the file; 5 seconds
}

func (o Options) withDefaults() Options {
	if o.Sessions <= 0 {
		o.Sessions = 128 << 10
	}
	if o.SessionBytes <= 0 {
		o.SessionBytes = 64 << 20
	}
	if o.Buckets <= 0 {
		o.Buckets = 256 << 10
	}
	if o.Holds <= 0 {
		o.Holds = 256 << 10
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = 256 << 20
	}
	if o.LogBytes <= 0 {
		o.LogBytes = 64 << 20
	}
	if o.ConversationBytes <= 0 {
		o.ConversationBytes = 64 << 20
	}
	if o.Jobs <= 0 {
		o.Jobs = 128 << 10
	}
	if o.JobBytes <= 0 {
		o.JobBytes = 4 << 30
	}
	if o.LockWait <= 0 {
		o.LockWait = 5 * time.Second
	}
	return o
}

const (
	sweepEvery = time.Minute
	retryAfter = time.Second // when the disk did not take a write
)

// Engine is an open file with what is in it. It may be used by many goroutines at
// once.
type Engine struct {
	db       *bbolt.DB
	log      *slog.Logger
	writes   *committer
	sessions *Sessions
	quota    *Quota
	jobs     *Jobs
	cache    *Cache
	bus      *Bus
	logs     *Logs
	said     *Conversations
	clock    clock
	stop     chan struct{}
	stopped  chan struct{}
}

// Open opens the file at path, which it makes if need be, and starts the engine's two
// goroutines. [Engine.Close] must be called. The error says whether another
// process has the file or it is damaged.
func Open(path string, o Options) (*Engine, error) {
	o = o.withDefaults()
	db, sums, err := openFile(path, o.LockWait)
	if err != nil {
		return nil, fmt.Errorf("state %s: %w", path, err)
	}
	e := &Engine{db: db, log: o.Log, writes: newCommitter(db, sums), stop: make(chan struct{}), stopped: make(chan struct{})}
	e.clock = newClock()
	e.quota = newQuota(e.clock, e.writes, o)
	e.cache, e.bus, e.logs = newCache(e.clock, o), newBus(), newLogs(e.clock, o)
	e.sessions, e.said = newSessions(e.writes, o), newConversations(e.clock, e.writes, o)
	e.jobs = newJobs(e.clock, db, e.writes, o)
	if err := e.load(); err != nil {
		return nil, fmt.Errorf("state %s: %w", path, errors.Join(err, db.Close()))
	}
	go e.run()
	go e.jobs.run()
	return e, nil
}

// load reads what an earlier engine left.
func (e *Engine) load() error {
	return errors.Join(
		e.sessions.read(e.db),
		e.said.read(e.db),
		readBucket(e.db, budgetBucket, e.quota.load),
		readBucket(e.db, jobBucket, e.jobs.load),
		e.jobs.check(),
	)
}

// Sessions returns the part that remembers sessions.
func (e *Engine) Sessions() *Sessions { return e.sessions }

// Conversations returns the part that remembers what was said to models.
func (e *Engine) Conversations() *Conversations { return e.said }

// Quota returns the part that counts what is taken.
func (e *Engine) Quota() *Quota { return e.quota }

// Jobs returns the part that keeps a queue of work.
func (e *Engine) Jobs() *Jobs { return e.jobs }

// Cache returns the part that keeps values for a while.
func (e *Engine) Cache() *Cache { return e.cache }

// Bus returns the part that carries messages.
func (e *Engine) Bus() *Bus { return e.bus }

// Logs returns the part that keeps what was sent.
func (e *Engine) Logs() *Logs { return e.logs }

// Now returns the engine's time. It does not fail.
func (e *Engine) Now(ctx context.Context) (time.Time, error) { return e.clock.Now(ctx) }

// Close writes what is not yet on disk and closes the file. Operations that come
// later fail or are dropped. It may be called once.
func (e *Engine) Close(ctx context.Context) error {
	close(e.stop)
	select {
	case <-e.stopped:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	e.bus.close()
	e.jobs.close()
	e.quota.close()
	e.said.close()
	return errors.Join(e.writes.close(), e.db.Close())
}

// run writes groups and forgets what has expired, until the engine is closed.
func (e *Engine) run() {
	defer close(e.stopped)
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-e.stop:
			return
		case now := <-sweep.C:
			e.sessions.forget(now)
			e.said.forget()
			e.quota.forget()
			e.logs.sweep()
		case <-e.writes.wake:
			if err := e.writes.commit(); err != nil {
				e.log.Error("state was not written; trying again", slog.Any("error", err))
				e.pause()
			}
		}
	}
}

// pause waits before the next try. The writes that failed are still to be done.
func (e *Engine) pause() {
	timer := time.NewTimer(retryAfter)
	defer timer.Stop()
	select {
	case <-timer.C:
		e.writes.rouse()
	case <-e.stop:
	}
}
