package session

import (
	"container/list"
	"sync"
)

// shelfSize bounds the bytes of all that a process without a store keeps.
const shelfSize = 32 << 20

// shelf keeps what is too long to travel inside a session id where there is no store.
// It is bounded: the entry that was not used for longest goes first, and its session
// with it.
type shelf struct {
	mu      sync.Mutex
	entries map[string]*list.Element
	recent  list.List // of shelved clients, last used in front
	size    int
}

type shelvedClient struct {
	key  string
	text []byte
}

func (c *shelvedClient) size() int {
	const overhead = 256 // map slot, list element and the structs, roughly
	return len(c.text) + overhead
}

func (s *shelf) put(key string, text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil {
		s.entries = make(map[string]*list.Element)
	}
	entry := &shelvedClient{key, text}
	s.entries[key] = s.recent.PushFront(entry)
	s.size += entry.size()
	for s.size > shelfSize {
		s.remove(s.recent.Back())
	}
}

// get returns what is kept of a session, or nil.
func (s *shelf) get(key string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	if !ok {
		return nil
	}
	s.recent.MoveToFront(e)
	return e.Value.(*shelvedClient).text
}

func (s *shelf) drop(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[key]; ok {
		s.remove(e)
	}
}

func (s *shelf) remove(e *list.Element) {
	entry := s.recent.Remove(e).(*shelvedClient)
	delete(s.entries, entry.key)
	s.size -= entry.size()
}
