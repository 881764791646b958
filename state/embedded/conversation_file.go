package embedded

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/bbolt"
)

// The buckets of conversations: what they come to by their key, turns by that and their number, contexts by the key and the model.
const (
	conversationBucket = "conversations"
	turnBucket         = "turns"
	contextBucket      = "contexts"
)

// headSize is that of idle, until, used, what was spent, whether that is a guess, and the number of the last turn.
const headSize = 3*8 + 3*8 + 1 + 8

// read takes over what the file holds.
func (s *Conversations) read(db *bbolt.DB) error {
	if err := readBucket(db, conversationBucket, s.loadHead); err != nil {
		return err
	}
	if err := readBucket(db, turnBucket, s.loadTurn); err != nil {
		return err
	}
	return readBucket(db, contextBucket, s.loadContext)
}

// writeHead has the file say what a conversation comes to.
func (s *Conversations) writeHead(key string, c *conversation) {
	c.noted = c.used
	out := make([]byte, 0, headSize)
	for _, n := range []int64{c.idle, c.until, c.used, c.spent.Input, c.spent.Output, c.spent.Cached} {
		out = binary.BigEndian.AppendUint64(out, uint64(n))
	}
	guess := byte(0)
	if c.spent.Estimated {
		guess = 1
	}
	out = binary.BigEndian.AppendUint64(append(out, guess), c.last)
	s.writes.put(conversationBucket, key, encodeEntry(key, out))
}

func (s *Conversations) loadHead(key string, value []byte) error {
	text, err := decodeEntry(key, value)
	if err != nil {
		return err
	}
	if len(text) != headSize {
		return errRecord
	}
	c := &conversation{models: map[string]*thread{}}
	for i, n := range []*int64{&c.idle, &c.until, &c.used, &c.spent.Input, &c.spent.Output, &c.spent.Cached} {
		*n = int64(binary.BigEndian.Uint64(text[8*i:]))
	}
	c.noted, c.spent.Estimated, c.last = c.used, text[48] == 1, binary.BigEndian.Uint64(text[49:])
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s.makeRoom(sh, key, conversationCost) != nil {
		s.writes.put(conversationBucket, key, nil)
		return nil
	}
	sh.all[key] = c
	return nil
}

func (s *Conversations) loadTurn(at string, value []byte) error {
	text, err := decodeEntry(at, value)
	if err != nil {
		return err
	}
	key, rest, ok := cutText([]byte(at))
	model, data, whole := cutText(text)
	if !ok || !whole || len(rest) != 8 {
		return errRecord
	}
	number := binary.BigEndian.Uint64(rest)
	s.restore(turnBucket, at, key, func(c *conversation) bool {
		s.keepTurn(c, turn{number, model, slices.Clone(data)})
		c.last = max(c.last, number)
		c.models[model].last = number // they come in their order
		return true
	})
	return nil
}

func (s *Conversations) loadContext(at string, value []byte) error {
	text, err := decodeEntry(at, value)
	if err != nil {
		return err
	}
	key, model, ok := cutText([]byte(at))
	if !ok || len(text) < 8 {
		return errRecord
	}
	number := binary.BigEndian.Uint64(text)
	s.restore(contextBucket, at, key, func(c *conversation) bool {
		th := c.thread(string(model))
		if number < th.last {
			return false // a turn was written after it
		}
		th.last, th.context = number, slices.Clone(text[8:])
		c.last = max(c.last, number)
		s.weigh(c, len(th.context), len(th.context)+entryCost)
		return true
	})
	return nil
}

// restore takes over an entry of the file, unless its conversation is not remembered any more, or there is no room for it.
func (s *Conversations) restore(bucket, at, key string, take func(*conversation) bool) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := sh.all[key]
	if c == nil || s.held.Load() > s.room || !take(c) {
		s.writes.put(bucket, at, nil)
	}
}

// turnKey is where a turn lies in its bucket.
func turnKey(key string, number uint64) string {
	return string(binary.BigEndian.AppendUint64(appendText(make([]byte, 0, len(key)+10), key), number))
}

func encodeTurn(key string, t *turn) []byte {
	text := append(appendText(make([]byte, 0, len(t.model)+len(t.data)+2), t.model), t.data...)
	return encodeEntry(turnKey(key, t.number), text)
}

// contextKey is where a context lies in its bucket.
func contextKey(key, model string) string {
	return string(appendText(make([]byte, 0, len(key)+len(model)+2), key)) + model
}

func encodeContext(key, model string, th *thread) []byte {
	text := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(th.context)), th.last)
	return encodeEntry(contextKey(key, model), append(text, th.context...))
}
