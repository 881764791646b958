package live

import (
	"context"
	"math/rand/v2"
	"sync"

	"golang.org/x/sys/cpu"

	"github.com/headgate/headgate/rpc"
)

// Kind says what a call is to those who look on.
type Kind uint8

// The kinds of call.
const (
	Passing Kind = iota // over at once: it is not listed
	Request             // somebody waits for its response
	Stream              // stands open until somebody ends it
)

const (
	// shardBits is how many bits of a call's id say where it is.
	shardBits  = 6
	shardCount = 1 << shardBits
)

// Registry lists the calls in flight and remembers those that ended of late. It is an
// [rpc.Observer]. All methods may be called concurrently, and no lock is shared by all calls.
type Registry struct {
	kind   func(*rpc.Call) Kind
	shards [shardCount]shard
}

// shard is a part of the calls under one lock.
type shard struct {
	_       cpu.CacheLinePad
	mu      sync.Mutex
	flying  rpc.Place // the ends of a ring; no call
	streams int
	calls   int
	past    past
}

var _ rpc.Observer = (*Registry)(nil)

// New returns a registry. Kind says of each call what it is; it is asked twice, and must
// answer the same.
func New(kind func(*rpc.Call) Kind) *Registry {
	r := &Registry{kind: kind}
	for i := range r.shards {
		end := &r.shards[i].flying
		end.Next, end.Prev = end, end
	}
	return r
}

// Begin implements [rpc.Observer].
func (r *Registry) Begin(c *rpc.Call) {
	kind := r.kind(c)
	if kind == Passing {
		return
	}
	p := &c.Record.Place
	p.Call, p.ID = c, rand.Uint64()
	p.Settled.Store(false)
	s := r.shard(p.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(kind, 1)
	p.Next, p.Prev = &s.flying, s.flying.Prev
	p.Prev.Next, p.Next.Prev = p, p
}

// Settle is the middleware behind the last of a call's three writers: from there on all of
// the call may be shown.
func (*Registry) Settle(next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if c.Record != nil {
			c.Record.Place.Settled.Store(true)
		}
		return next.Handle(ctx, c)
	})
}

// End implements [rpc.Observer].
func (r *Registry) End(c *rpc.Call) {
	p := &c.Record.Place
	if p.Call == nil {
		return
	}
	s := r.shard(p.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(r.kind(c), -1)
	p.Prev.Next, p.Next.Prev = p.Next, p.Prev
	p.Next, p.Prev, p.Call = nil, nil, nil
	s.past.keep(c, p.ID)
}

func (s *shard) count(kind Kind, by int) {
	if kind == Stream {
		s.streams += by
	} else {
		s.calls += by
	}
}

func (r *Registry) shard(id uint64) *shard { return &r.shards[id%shardCount] }

// Counts returns how many calls are in flight and how many streams stand open.
func (r *Registry) Counts() (calls, streams int) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		calls += s.calls
		streams += s.streams
		s.mu.Unlock()
	}
	return calls, streams
}

// Stop ends a call for a cause, which its client is told. It returns false if there is no
// such call, and also if it cannot be ended.
func (r *Registry) Stop(id uint64, cause error) bool {
	stopper := r.stopper(id)
	if stopper == nil {
		return false
	}
	stopper.Stop(cause) // without the lock: whoever is woken may end the call at once
	return true
}

func (r *Registry) stopper(id uint64) rpc.Stopper {
	s := r.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := s.flying.Next; p != &s.flying; p = p.Next {
		if p.ID == id {
			return p.Call.Stopper
		}
	}
	return nil
}
