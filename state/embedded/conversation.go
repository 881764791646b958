package embedded

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/state"
)

// conversationCost is what a conversation takes up without any turns, roughly.
const conversationCost = 512

// touchEvery is how much later than the file says a conversation may have been used.
const touchEvery = 10 * time.Second

// Conversations is the part of an engine that remembers what was said to models.
type Conversations struct {
	clock  clock
	writes *committer
	seed   maphash.Seed
	room   int64        // bytes of all of them
	held   atomic.Int64 // bytes
	shards [shardCount]conversationShard
}

var _ state.Conversations = (*Conversations)(nil)

type conversationShard struct {
	mu  sync.Mutex
	all map[string]*conversation
}

// conversation is one of them. Its shard's lock is held by whoever looks at it.
type conversation struct {
	idle, until int64 // how long unused, and when at the latest, in nanoseconds
	used        int64 // when last
	noted       int64 // what the file says of that
	spent       state.Tokens
	last        uint64 // the number of the last turn
	turns       []turn // those that are kept, oldest first
	models      map[string]*thread
	size        int // bytes of turns and contexts, with what entries cost
	bytes       int // without
}

type turn struct {
	number uint64
	model  string
	data   []byte
}

// thread is what is known of one model's part.
type thread struct {
	last    uint64 // the number of its last turn
	turns   int    // that are kept
	context []byte // that holds all up to the last turn
}

func newConversations(c clock, writes *committer, o Options) *Conversations {
	out := &Conversations{clock: c, writes: writes, room: o.ConversationBytes, seed: maphash.MakeSeed()}
	for i := range out.shards {
		out.shards[i].all = make(map[string]*conversation)
	}
	return out
}

func (s *Conversations) shard(key string) *conversationShard {
	return &s.shards[maphash.String(s.seed, key)%shardCount]
}

// Open begins a conversation. It fails if there is no room at all.
func (s *Conversations) Open(_ context.Context, key string, terms state.ConversationTerms) error {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.drop(sh, key)
	now := s.clock.nanos()
	c := &conversation{idle: int64(terms.Idle), until: sum(now, int64(terms.Most)), used: now, models: map[string]*thread{}}
	if err := s.makeRoom(sh, key, conversationCost); err != nil {
		return err
	}
	sh.all[key] = c
	s.writeHead(key, c)
	return nil
}

// Touch notes a use.
func (s *Conversations) Touch(_ context.Context, key string) (state.Conversation, error) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c, err := s.use(sh, key)
	if err != nil {
		return state.Conversation{}, err
	}
	return state.Conversation{Turns: len(c.turns), Used: c.spent, Expires: time.Unix(0, c.expires())}, nil
}

// Recall returns what was said to a model.
func (s *Conversations) Recall(_ context.Context, key, model string) (state.History, error) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c, err := s.use(sh, key)
	if err != nil {
		return state.History{}, err
	}
	th := c.models[model]
	if th == nil {
		return state.History{}, nil
	}
	out := state.History{Last: th.last, Context: th.context}
	for i := range c.turns {
		if c.turns[i].model == model {
			out.Turns = append(out.Turns, c.turns[i].data)
		}
	}
	return out, nil
}

// Add notes a turn.
func (s *Conversations) Add(_ context.Context, key, model string, t state.Turn, bounds state.ConversationBounds) error {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c, err := s.use(sh, key)
	if err != nil {
		return err
	}
	c.spent = c.spent.Plus(t.Used)
	if t.Data != nil {
		s.say(key, c, model, t)
		s.bound(key, c, bounds)
		for s.makeRoom(sh, key, 0) != nil && c.bytes > 0 { // nobody else's is left to be given up
			s.bound(key, c, state.ConversationBounds{Turns: len(c.turns), Bytes: c.bytes - 1})
		}
	}
	s.writeHead(key, c)
	return nil
}

// say adds a turn, and its context if that has all that was said.
func (s *Conversations) say(key string, c *conversation, model string, t state.Turn) {
	th := c.thread(model)
	whole := t.After == th.last && len(t.Context) > 0
	c.last++
	s.forgetContext(key, c, model, th)
	th.last = c.last
	s.keepTurn(c, turn{c.last, model, t.Data})
	s.writes.put(turnBucket, turnKey(key, c.last), encodeTurn(key, &c.turns[len(c.turns)-1]))
	if whole {
		th.context = t.Context
		s.weigh(c, len(t.Context), len(t.Context)+entryCost)
		s.writes.put(contextBucket, contextKey(key, model), encodeContext(key, model, th))
	}
}

// keepTurn takes a turn into memory.
func (s *Conversations) keepTurn(c *conversation, t turn) {
	c.turns = append(c.turns, t)
	c.thread(t.model).turns++
	s.weigh(c, len(t.data), len(t.data)+entryCost)
}

func (c *conversation) thread(model string) *thread {
	th := c.models[model]
	if th == nil {
		th = &thread{}
		c.models[model] = th
	}
	return th
}

// bound drops what is too much: turns from the beginning, and then contexts, those first that were not spoken in for longest.
func (s *Conversations) bound(key string, c *conversation, bounds state.ConversationBounds) {
	for len(c.turns) > 0 && (len(c.turns) > bounds.Turns || c.bytes > bounds.Bytes) {
		s.cut(key, c)
	}
	for c.bytes > bounds.Bytes {
		oldest := ""
		for model, th := range c.models {
			if th.context != nil && (oldest == "" || th.last < c.models[oldest].last) {
				oldest = model
			}
		}
		s.forgetContext(key, c, oldest, c.models[oldest])
	}
	for model, th := range c.models {
		if th.turns == 0 && th.context == nil {
			delete(c.models, model)
		}
	}
}

// cut drops the oldest turn.
func (s *Conversations) cut(key string, c *conversation) {
	t := c.turns[0]
	c.turns[0] = turn{}
	c.turns = c.turns[1:]
	c.models[t.model].turns--
	s.weigh(c, -len(t.data), -len(t.data)-entryCost)
	s.writes.put(turnBucket, turnKey(key, t.number), nil)
}

func (s *Conversations) forgetContext(key string, c *conversation, model string, th *thread) {
	if th.context == nil {
		return
	}
	s.weigh(c, -len(th.context), -len(th.context)-entryCost)
	th.context = nil
	s.writes.put(contextBucket, contextKey(key, model), nil)
}

func (s *Conversations) weigh(c *conversation, bytes, size int) {
	c.bytes += bytes
	c.size += size
	s.held.Add(int64(size))
}

// use finds a conversation whose time is not over, and notes that it is used.
func (s *Conversations) use(sh *conversationShard, key string) (*conversation, error) {
	c := sh.all[key]
	now := s.clock.nanos()
	if c == nil || now >= c.expires() {
		s.drop(sh, key)
		return nil, state.ErrNoConversation
	}
	c.used = max(c.used, now)
	if c.used-c.noted > int64(touchEvery) {
		s.writeHead(key, c)
	}
	return c, nil
}

// expires is when the conversation is over if it is not used any more.
func (c *conversation) expires() int64 { return min(sum(c.used, c.idle), c.until) }

// makeRoom counts so many bytes more, and gives up the conversations of others until they fit.
func (s *Conversations) makeRoom(sh *conversationShard, key string, more int) error {
	for s.held.Load()+int64(more) > s.room {
		victim, ok := sh.leastUsed(key)
		if !ok {
			return fmt.Errorf("%w: %d bytes of conversations", state.ErrFull, s.held.Load())
		}
		s.drop(sh, victim)
	}
	s.held.Add(int64(more))
	return nil
}

// leastUsed finds a conversation, other than one, that was not used for long.
func (sh *conversationShard) leastUsed(other string) (victim string, ok bool) {
	seen := 0
	for key, c := range sh.all {
		if key == other {
			continue
		}
		if !ok || c.used < sh.all[victim].used {
			victim, ok = key, true
		}
		if seen++; seen == sample {
			break
		}
	}
	return victim, ok
}

// drop forgets a conversation, if there is one.
func (s *Conversations) drop(sh *conversationShard, key string) {
	c := sh.all[key]
	if c == nil {
		return
	}
	s.bound(key, c, state.ConversationBounds{})
	delete(sh.all, key)
	s.held.Add(-conversationCost)
	s.writes.put(conversationBucket, key, nil)
}

// close has the file say when conversations were used last.
func (s *Conversations) close() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for key, c := range sh.all {
			if c.noted != c.used {
				s.writeHead(key, c)
			}
		}
		sh.mu.Unlock()
	}
}

// forget drops those whose time is over.
func (s *Conversations) forget() {
	now := s.clock.nanos()
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for key, c := range sh.all {
			if now >= c.expires() {
				s.drop(sh, key)
			}
		}
		sh.mu.Unlock()
	}
}
