package session

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state"
)

// Config bounds sessions. Zero values mean the stated defaults.
type Config struct {
	Idle time.Duration // a session with no call and no stream ends this long after its last use; 30 minutes
	Max  time.Duration // a session ends this long after it was opened, whatever it does; 24 hours
	// IdleOf returns how long a client wants its session to last when it is not used, where that is less than Idle; 0 if it did
	// not say. Nil asks nobody.
	IdleOf   func(*rpc.Client) time.Duration
	InFlight int // calls in flight in one session; 128
	Queue    int // notifications kept for one session until a stream takes them, beside those that resources have changed; 64

	// Ended is told of each session that has ended for good: what it spoke, and how long it lasted. It must not block. Nil tells
	// nobody.
	Ended func(spoken rpc.Revision, lasted time.Duration)
	// Store remembers what must outlive the process. Without one, a process forgets
	// its sessions when it ends.
	Store state.Sessions
}

func (c Config) withDefaults() Config {
	if c.Idle <= 0 {
		c.Idle = 30 * time.Minute
	}
	if c.Max <= 0 {
		c.Max = 24 * time.Hour
	}
	if c.InFlight <= 0 {
		c.InFlight = 128
	}
	if c.Queue <= 0 {
		c.Queue = 64
	}
	if c.Store == nil {
		c.Store = &forgetful{}
	}
	return c
}

const (
	// maxHandle is the length of a session id up to which everything travels inside.
	maxHandle = 2 << 10
	// shardCount spreads the sessions over locks, so that none is shared by all calls.
	shardCount = 64
)

// Registry is all sessions of one process. All methods may be called concurrently.
type Registry struct {
	config  atomic.Pointer[Config]
	keys    Sealer
	log     *slog.Logger
	started time.Time
	seed    maphash.Seed
	shards  [shardCount]shard
	recent  recent

	replayable atomic.Int64 // bytes kept of event streams
	onEnd      atomic.Pointer[func(key string)]
	onRecall   atomic.Pointer[func(ctx context.Context, c *rpc.Call, subs []state.ResourceSubscription)]

	closing  atomic.Bool
	stop     chan struct{}
	stopOnce sync.Once
	swept    chan struct{}
}

// New returns a registry and starts its one goroutine, which ends what has been idle
// for too long. [Registry.Close] stops it.
func New(cfg Config, keys Sealer, log *slog.Logger) *Registry {
	r := &Registry{
		keys: keys, log: log, started: time.Now(),
		seed: maphash.MakeSeed(), stop: make(chan struct{}), swept: make(chan struct{}),
	}
	cfg = cfg.withDefaults()
	r.config.Store(&cfg)
	r.recent.seed = r.seed
	for i := range r.shards {
		r.shards[i] = shard{live: map[string]*Session{}, ended: map[string]time.Time{}}
	}
	go r.sweep()
	return r
}

// Configure sets other bounds, of the sessions that there are too. The store, and who is told, stay what they are.
func (r *Registry) Configure(cfg Config) {
	cfg.Store, cfg.Ended = r.cfg().Store, r.cfg().Ended
	cfg = cfg.withDefaults()
	r.config.Store(&cfg)
}

// cfg returns the bounds.
func (r *Registry) cfg() *Config { return r.config.Load() }

// OnEnd sets what is called with the key of each session that ends, by whatever
// cause but the registry's own end, or whose live state is given up. It is called
// without locks held, maybe more than once, and must not block for long.
func (r *Registry) OnEnd(f func(key string)) { r.onEnd.Store(&f) }

// Open returns the id of a new session. Nothing is stored until the id is used,
// except for clients that say so much of themselves that it does not fit into an id.
// The answer to initialize says what the client is offered; without one that is all.
func (r *Registry) Open(ctx context.Context, c rpc.Client, p rpc.Principal, endpoint string, answer *rpc.Message) (string, error) {
	if err := mcp.CheckIdentity(&c); err != nil {
		return "", err
	}
	t := ticket{form: whole, unknown: notOffered(answer), owner: ownerOf(&p), created: time.Now(), client: c}
	_, _ = rand.Read(t.key[:]) // it never fails: crypto/rand ends the process instead
	id := r.keys.Seal(purpose, []byte(endpoint), t.encode())
	if len(id) <= maxHandle {
		return id, nil
	}
	t.form = shelved
	if err := r.cfg().Store.SetClient(ctx, hex.EncodeToString(t.key[:]), appendClient(nil, &c), r.until(t.created)); err != nil {
		return "", notWritten("what the client says of itself", err)
	}
	return r.keys.Seal(purpose, []byte(endpoint), t.encode()), nil
}

// Resume returns the live session of an id, used on the endpoint it was opened for.
// The error is the same one whatever is wrong with the id: a session that ended, or
// is somebody else's, cannot be told from one that never was.
func (r *Registry) Resume(id, endpoint string) (*Session, error) {
	if s, ok := r.recent.find(id, endpoint); ok {
		if live, ok := r.shard(s.client.Session).find(s.client.Session); ok && live == s {
			return r.resumed(s, time.Now())
		}
	}
	s, err := r.open(id, endpoint)
	if err == nil {
		r.recent.keep(id, s)
	}
	return s, err
}

// resumed is a live session in use again, unless its time is over.
func (r *Registry) resumed(s *Session, now time.Time) (*Session, error) {
	if cause := s.lapsed(now); cause != nil {
		r.end(s, cause)
		return nil, errUnknown()
	}
	s.use(now)
	return s, nil
}

// open finds or makes the live session of an id by what is sealed in it.
func (r *Registry) open(id, endpoint string) (*Session, error) {
	plain, err := r.keys.Open(purpose, []byte(endpoint), id)
	if err != nil {
		return nil, errUnknown()
	}
	var t ticket
	if !t.decode(plain) {
		return nil, errUnknown()
	}
	key := hex.EncodeToString(t.key[:])
	sh := r.shard(key)
	now := time.Now()
	if s, ok := sh.find(key); ok {
		return r.resumed(s, now)
	}
	past, err := r.recall(key, t.created, now)
	if err != nil {
		return nil, err
	}
	if t.form == shelved && (past.Client == nil || !readClient(past.Client, &t.client)) {
		return nil, errUnknown()
	}
	s, evicted, err := sh.add(newSession(r, key, endpoint, &t, &past, now))
	if evicted != nil {
		evicted.shut(errUnknown()) // calls that have just begun on it will not pass Guard
		r.released(evicted)
	}
	return s, err
}

// expiry is when the id of a session without live state stops being good, which was
// last used at a time that the store may have heard of late. Where nobody knows of a
// use, it was not used since it was made, or since this process started.
func (r *Registry) expiry(created, used time.Time) time.Time {
	idle := used.Add(2 * r.sweepEvery())
	switch {
	case !used.IsZero():
	case created.Before(r.started):
		idle = r.started
	default:
		idle = created
	}
	idle = idle.Add(r.cfg().Idle)
	if full := r.until(created); full.Before(idle) {
		return full
	}
	return idle
}

// find returns the live session of a call, if the call's principal opened it.
func (r *Registry) find(c *rpc.Call) (*Session, error) {
	s, ok := r.shard(c.Client.Session).find(c.Client.Session)
	if !ok || s.owner != ownerOf(&c.Principal) {
		return nil, errUnknown()
	}
	s.meet(&c.Principal)
	return s, nil
}

// Guard lets only the principal that opened a session use it. It belongs directly
// behind authentication: the edge resumes sessions before anybody is known.
func (r *Registry) Guard(next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if c.Client.Session != "" {
			s, err := r.find(c)
			if err != nil {
				return nil, err
			}
			if c.Flight != nil {
				if err := c.Flight.Take(); err != nil {
					return nil, err
				}
			}
			s.restore(ctx, c)
		}
		return next.Handle(ctx, c)
	})
}

// end ends a session for good.
func (r *Registry) end(s *Session, cause error) {
	if !r.shard(s.client.Session).remove(s, r.expiry(s.created, time.Now())) {
		return // another goroutine was first
	}
	s.shut(cause)
	if r.cfg().Ended != nil {
		r.cfg().Ended(s.client.Revision, time.Since(s.created))
	}
	r.cfg().Store.Lapse(s.client.Session)
	r.released(s)
}

// released tells whoever holds something for a session that it needs nothing any more,
// unless it is used again.
func (r *Registry) released(s *Session) {
	if f := r.onEnd.Load(); f != nil {
		(*f)(s.client.Session)
	}
}

// Usage is how many sessions are in memory, and how many streams of theirs stand open.
type Usage struct{ Sessions, Streams int }

// Usage counts both.
func (r *Registry) Usage() (u Usage) {
	for i := range r.shards {
		for _, s := range r.shards[i].sessions() {
			u.Sessions++
			u.Streams += s.openStreams()
		}
	}
	return u
}

// EndStreams ends all GET streams and refuses new ones. Calls in flight go on, and
// clients can still answer and cancel.
func (r *Registry) EndStreams() {
	r.closing.Store(true)
	for i := range r.shards {
		for _, s := range r.shards[i].sessions() {
			s.endStreams()
		}
	}
}

// GiveUp cancels all calls in flight with a cause, which their clients are told.
func (r *Registry) GiveUp(cause error) {
	for i := range r.shards {
		for _, s := range r.shards[i].sessions() {
			s.cancelAll(cause)
		}
	}
}

// Close ends all streams, cancels what is still in flight with a cause, and waits
// for the registry's goroutine or for ctx. Sessions are not ended by it: their ids
// can be resumed by another process that has the keys.
func (r *Registry) Close(ctx context.Context) error {
	r.EndStreams()
	r.GiveUp(rpc.Errorf(rpc.Draining, "the gateway is shutting down"))
	r.stopOnce.Do(func() { close(r.stop) })
	select {
	case <-r.swept:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *Registry) sweepEvery() time.Duration {
	return min(max(r.cfg().Idle/4, time.Second), time.Minute)
}

// sweep ends sessions that are past their time, and tells the store of the others.
func (r *Registry) sweep() {
	defer close(r.swept)
	tick := time.NewTicker(r.sweepEvery())
	defer tick.Stop()
	for {
		select {
		case <-r.stop:
			r.noteAll(time.Now())
			return
		case now := <-tick.C:
			for i := range r.shards {
				r.sweepShard(&r.shards[i], now)
			}
			tick.Reset(r.sweepEvery())
		}
	}
}

func (r *Registry) sweepShard(sh *shard, now time.Time) {
	for _, s := range sh.sessions() {
		s.expireTracks(now)
		if cause := s.lapsed(now); cause != nil {
			r.end(s, cause)
			continue
		}
		r.note(s, now)
	}
	sh.forget(now)
}

func (r *Registry) shard(key string) *shard {
	return &r.shards[maphash.String(r.seed, key)%shardCount]
}

// errUnknown is the one answer to every id that does not lead to a session.
func errUnknown() *rpc.Error {
	return rpc.Errorf(rpc.SessionUnknown, "the session has ended or never was: send initialize again")
}
