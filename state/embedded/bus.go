package embedded

import (
	"context"
	"sync"

	"github.com/headgate/headgate/state"
)

// Bounds of what waits for one listener.
const (
	maxQueued      = 256
	maxQueuedBytes = 1 << 20
)

// Bus is the part of an engine that carries messages within the process.
type Bus struct {
	mu     sync.RWMutex
	topics map[string]map[*listener]struct{}
	closed bool
}

var _ state.Bus = (*Bus)(nil)

func newBus() *Bus { return &Bus{topics: make(map[string]map[*listener]struct{})} }

// Publish sends a message to who listens now.
func (b *Bus) Publish(_ context.Context, topic string, data []byte) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return state.ErrClosed
	}
	for s := range b.topics[topic] {
		s.add(state.Event{Topic: topic, Data: data})
	}
	return nil
}

// Subscribe listens to topics.
func (b *Bus) Subscribe(_ context.Context, topics ...string) (state.Listener, error) {
	s := &listener{bus: b, topics: topics, wake: make(chan struct{}, 1), done: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, state.ErrClosed
	}
	for _, topic := range topics {
		if b.topics[topic] == nil {
			b.topics[topic] = make(map[*listener]struct{})
		}
		b.topics[topic][s] = struct{}{}
	}
	return s, nil
}

// close ends all listening.
func (b *Bus) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, listeners := range b.topics {
		for s := range listeners {
			s.end()
		}
	}
	b.topics = nil
}

type listener struct {
	bus    *Bus
	topics []string
	wake   chan struct{} // there is something to read
	done   chan struct{}
	once   sync.Once

	mu     sync.Mutex
	queue  []state.Event
	queued int // bytes
	gap    bool
}

// add queues an event. Where there are too many the oldest go.
func (s *listener) add(e state.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, e)
	s.queued += len(e.Data)
	for len(s.queue) > maxQueued || s.queued > maxQueuedBytes {
		s.gap = true
		s.pop()
	}
	s.rouse()
}

func (s *listener) pop() state.Event {
	e := s.queue[0]
	s.queue[0] = state.Event{}
	s.queue = s.queue[1:]
	s.queued -= len(e.Data)
	return e
}

func (s *listener) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Next returns the next event.
func (s *listener) Next(ctx context.Context) (state.Event, error) {
	for {
		if e, ok := s.take(); ok {
			return e, nil
		}
		select {
		case <-s.wake:
		case <-s.done:
			return state.Event{}, state.ErrClosed
		case <-ctx.Done():
			return state.Event{}, context.Cause(ctx)
		}
	}
}

func (s *listener) take() (e state.Event, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gap:
		s.gap, e = false, state.Event{Gap: true}
	case len(s.queue) > 0:
		e = s.pop()
	default:
		return e, false
	}
	if len(s.queue) > 0 {
		s.rouse() // another reader may wait
	}
	return e, true
}

// Close ends it.
func (s *listener) Close() {
	s.end()
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	for _, topic := range s.topics {
		delete(s.bus.topics[topic], s)
		if len(s.bus.topics[topic]) == 0 {
			delete(s.bus.topics, topic)
		}
	}
}

func (s *listener) end() { s.once.Do(func() { close(s.done) }) }
