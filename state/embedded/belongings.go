package embedded

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/headgate/headgate/state"
)

// belongings are what few sessions have and what may be large: they are kept beside the
// records, each in a place of its own in the file, so that a change writes no more than
// what it changes.
type belongings struct {
	client     []byte
	subscribed map[string]state.ResourceSubscription // by URI
	size       int                                   // bytes of both
	subscribes int                                   // bytes of what is subscribed to
}

// entryCost is what an entry takes up beside its text, roughly.
const entryCost = 128

// show adds belongings to what is remembered of a session. Nil are none.
func (b *belongings) show(to *state.Session) {
	if b == nil {
		return
	}
	to.Client = b.client
	for _, sub := range b.subscribed {
		to.Subscriptions = append(to.Subscriptions, sub)
	}
}

// SetClient notes what a session's client said of itself, and waits until that is on
// disk.
func (s *Sessions) SetClient(ctx context.Context, key string, text []byte, until time.Time) error {
	if len(text) > state.MaxClient {
		return fmt.Errorf("%w: a client that says %d bytes of itself", state.ErrFull, len(text))
	}
	if err := s.alter(key, until, func(sh *sessionShard, b *belongings) error {
		if err := s.takeClient(sh, key, b, slices.Clone(text)); err != nil {
			return err
		}
		s.writes.put(clientBucket, key, encodeEntry(key, text))
		return nil
	}); err != nil {
		return err
	}
	return s.writes.sync(ctx)
}

// Subscribe notes a subscription, and waits until that is on disk.
func (s *Sessions) Subscribe(ctx context.Context, key string, sub state.ResourceSubscription, until time.Time) error {
	if err := s.alter(key, until, func(sh *sessionShard, b *belongings) error {
		if err := s.takeSubscription(sh, key, b, sub); err != nil {
			return err
		}
		at := subscriptionKey(key, sub.URI)
		s.writes.put(subscriptionBucket, at, encodeEntry(at, encodeSubscription(&sub)))
		return nil
	}); err != nil {
		return err
	}
	return s.writes.sync(ctx)
}

// alter changes the belongings of a session, which is made known if it is not yet, unless
// it has ended.
func (s *Sessions) alter(key string, until time.Time, change func(*sessionShard, *belongings) error) error {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.records[key].ended {
		return nil
	}
	s.change(sh, key, until, func(*sessionRecord) {})
	return change(sh, sh.belongingsOf(key))
}

// belongingsOf returns what a session has, or what is to become it.
func (sh *sessionShard) belongingsOf(key string) *belongings {
	if b := sh.belongings[key]; b != nil {
		return b
	}
	return &belongings{}
}

// takeClient and takeSubscription change memory only.
func (s *Sessions) takeClient(sh *sessionShard, key string, b *belongings, text []byte) error {
	if err := s.makeRoom(sh, key, b, len(text)-len(b.client)); err != nil {
		return err
	}
	b.client = text
	return nil
}

func (s *Sessions) takeSubscription(sh *sessionShard, key string, b *belongings, sub state.ResourceSubscription) error {
	old, known := b.subscribed[sub.URI]
	if old == sub && known {
		return nil
	}
	more, entries := sub.Size()-old.Size(), len(b.subscribed)
	if !known {
		entries++
	}
	if len(sub.URI) > state.MaxSubscriptionURI || entries > state.MaxSubscriptions || b.subscribes+more > state.MaxSubscribed {
		return fmt.Errorf("%w: %d subscriptions of one session", state.ErrFull, len(b.subscribed))
	}
	cost := more
	if !known {
		cost += entryCost
	}
	if err := s.makeRoom(sh, key, b, cost); err != nil {
		return err
	}
	if b.subscribed == nil {
		b.subscribed = make(map[string]state.ResourceSubscription)
	}
	b.subscribed[sub.URI] = sub
	b.subscribes += more
	return nil
}

// Unsubscribe forgets a subscription, and waits until that is on disk.
func (s *Sessions) Unsubscribe(ctx context.Context, key, uri string) error {
	sh := s.shard(key)
	sh.mu.Lock()
	if b := sh.belongings[key]; b != nil {
		s.forgetSubscription(sh, key, b, uri)
	}
	sh.mu.Unlock()
	return s.writes.sync(ctx)
}

func (s *Sessions) forgetSubscription(sh *sessionShard, key string, b *belongings, uri string) {
	sub, known := b.subscribed[uri]
	if !known {
		return
	}
	delete(b.subscribed, uri)
	b.subscribes -= sub.Size()
	s.weigh(b, -sub.Size()-entryCost)
	if len(b.subscribed) == 0 && b.client == nil {
		delete(sh.belongings, key)
	}
	s.writes.put(subscriptionBucket, subscriptionKey(key, uri), nil)
}

// Lapse forgets the belongings of a session.
func (s *Sessions) Lapse(key string) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.dropBelongings(sh, key)
}

// makeRoom gives up the belongings of other sessions until there is room for more of this
// one's, and counts them. The shard's lock is held.
func (s *Sessions) makeRoom(sh *sessionShard, key string, b *belongings, more int) error {
	for s.held.Load()+int64(more) > s.room {
		victim, ok := sh.leastUsed(key)
		if !ok {
			return fmt.Errorf("%w: %d bytes of sessions", state.ErrFull, s.held.Load())
		}
		s.dropBelongings(sh, victim)
	}
	s.weigh(b, more)
	sh.belongings[key] = b
	return nil
}

func (s *Sessions) weigh(b *belongings, more int) {
	b.size += more
	s.held.Add(int64(more))
}

// leastUsed finds a session with belongings, other than one, that was not used for long.
func (sh *sessionShard) leastUsed(other string) (victim string, ok bool) {
	seen := 0
	for key := range sh.belongings {
		if key == other {
			continue
		}
		if !ok || sh.records[key].used < sh.records[victim].used {
			victim, ok = key, true
		}
		if seen++; seen == sample {
			break
		}
	}
	return victim, ok
}

// dropBelongings forgets what a session has, in memory and soon on disk. The shard's lock
// is held.
func (s *Sessions) dropBelongings(sh *sessionShard, key string) {
	b := sh.belongings[key]
	if b == nil {
		return
	}
	delete(sh.belongings, key)
	s.held.Add(-int64(b.size))
	if b.client != nil {
		s.writes.put(clientBucket, key, nil)
	}
	for uri := range b.subscribed {
		s.writes.put(subscriptionBucket, subscriptionKey(key, uri), nil)
	}
}
