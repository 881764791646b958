package session

import (
	"container/list"
	"sync"

	"github.com/headgate/headgate/rpc"
)

// Bounds of what clients may say of themselves.
const (
	maxIdentity = 64 << 10 // bytes of info and capabilities of one client
	shelfSize   = 32 << 20 // bytes of all that is shelved
)

// shelf keeps what is too long to travel inside a session id. It is bounded: the
// entry that was not used for longest goes first, and its session with it.
type shelf struct {
	mu      sync.Mutex
	entries map[string]*list.Element
	recent  list.List // of shelved clients, last used in front
	size    int
}

type shelvedClient struct {
	key    string
	client rpc.Client
}

func (c *shelvedClient) size() int {
	const overhead = 256 // map slot, list element and the structs, roughly
	return len(c.client.Info) + len(c.client.Capabilities) + overhead
}

func (s *shelf) put(key string, client rpc.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil {
		s.entries = make(map[string]*list.Element)
	}
	entry := &shelvedClient{key, client}
	s.entries[key] = s.recent.PushFront(entry)
	s.size += entry.size()
	for s.size > shelfSize {
		s.remove(s.recent.Back())
	}
}

func (s *shelf) get(key string) (rpc.Client, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	if !ok {
		return rpc.Client{}, false
	}
	s.recent.MoveToFront(e)
	return e.Value.(*shelvedClient).client, true
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
