package engine

import (
	"container/list"
	"hash/maphash"
)

// memory is the key-value memory of an engine, in blocks. A block that holds tokens of a prompt, all of it, can be shared and is kept when nobody
// uses it any more, until another needs the room; the least recently used goes first.
type memory struct {
	size, block int // blocks in all; tokens of one
	caching     bool
	used        int // by sequences
	shared      map[uint64]*block
	idle        *list.List // of *block that no sequence uses; the front was used last

	queried, hit int64 // tokens of prompts that were looked up, and found
}

// block is a full block of a prompt. Its key says all tokens up to its end.
type block struct {
	key  uint64
	uses int
	idle *list.Element
}

func newMemory(c Config) *memory {
	return &memory{size: max(1, c.KV/c.Block), block: c.Block, caching: c.PrefixCache, shared: map[uint64]*block{}, idle: list.New()}
}

// keys names the full blocks of a prompt.
func (m *memory) keys(seed maphash.Seed, prompt []uint32) []uint64 {
	keys := make([]uint64, 0, len(prompt)/m.block)
	var h maphash.Hash
	h.SetSeed(seed)
	for i, token := range prompt {
		_, _ = h.Write([]byte{byte(token), byte(token >> 8), byte(token >> 16), byte(token >> 24)}) // never fails
		if (i+1)%m.block == 0 {
			keys = append(keys, h.Sum64())
		}
	}
	return keys
}

// blocks is how many blocks so many tokens need.
func (m *memory) blocks(tokens int) int { return (tokens + m.block - 1) / m.block }

// admit gives a sequence the blocks for its first tokens and reports whether there were enough. It sets what of the prompt is cached:
// never all of it, since the last token must be computed to go on from.
func (m *memory) admit(s *sequence, tokens int) bool {
	found, revived := 0, 0
	if m.caching {
		for _, key := range s.keys {
			b, ok := m.shared[key]
			if !ok {
				break
			}
			if found++; b.uses == 0 {
				revived++
			}
		}
	}
	fresh := m.blocks(tokens) - found
	if m.used+revived+fresh > m.size {
		return false
	}
	m.used += revived + fresh
	s.private = fresh
	if m.caching {
		m.share(s, found)
		m.queried += int64(len(s.prompt))
		s.cached = min(found*m.block, len(s.prompt)-1)
		m.hit += int64(s.cached)
	}
	m.displace()
	return true
}

// share counts the sequence as a user of the full blocks of its prompt, of which the first were found. The others were counted as its
// own; one of them may be there all the same, behind one that was displaced.
func (m *memory) share(s *sequence, found int) {
	for i, key := range s.keys {
		b, ok := m.shared[key]
		if !ok {
			b = &block{key: key}
			m.shared[key] = b
		}
		if i >= found {
			s.private--
			if b.uses > 0 {
				m.used--
			}
		}
		if b.idle != nil {
			m.idle.Remove(b.idle)
			b.idle = nil
		}
		b.uses++
		s.shared = append(s.shared, b)
	}
}

// grow makes room for one token more and reports whether there was any.
func (m *memory) grow(s *sequence) bool {
	if m.blocks(len(s.prompt)+s.produced+1) <= len(s.shared)+s.private {
		return true
	}
	if m.used >= m.size {
		return false
	}
	m.used++
	s.private++
	m.displace()
	return true
}

// release takes everything back from a sequence.
func (m *memory) release(s *sequence) {
	m.used -= s.private
	s.private = 0
	for _, b := range s.shared {
		if b.uses--; b.uses == 0 {
			m.used--
			b.idle = m.idle.PushFront(b)
		}
	}
	s.shared = nil
}

// displace forgets idle blocks whose room is used.
func (m *memory) displace() {
	for m.used+m.idle.Len() > m.size {
		last := m.idle.Back()
		b, _ := m.idle.Remove(last).(*block)
		delete(m.shared, b.key)
	}
}
