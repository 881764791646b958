package session

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/headgate/headgate/rpc"
)

// eventPurpose separates event ids from all other sealed handles.
const eventPurpose = "event"

// Event is a place in one of a session's event streams. The zero Event is none.
type Event struct {
	number   uint64 // of the stream
	n        int    // of the event in it
	standing bool
}

// Standing reports whether the event is of the session's own stream, the one that no
// call began.
func (e Event) Standing() bool { return e.standing }

// sealEvent returns the id of an event. It is good in its session and for whom the
// session belongs to, and what is in it is nobody's business.
func (s *Session) sealEvent(e Event) string {
	plain := []byte{0}
	if e.standing {
		plain[0] = 1
	}
	plain = binary.AppendUvarint(plain, e.number)
	plain = binary.AppendUvarint(plain, uint64(e.n))
	return s.registry.keys.Seal(eventPurpose, s.binding(), plain)
}

// Event reads the id of an event. The error is InvalidRequest for one that was not
// made for this session.
func (s *Session) Event(id string) (Event, error) {
	plain, err := s.registry.keys.Open(eventPurpose, s.binding(), id)
	if err != nil || len(plain) == 0 {
		return Event{}, errNoEvent(id)
	}
	number, size := binary.Uvarint(plain[1:])
	if size <= 0 {
		return Event{}, errNoEvent(id)
	}
	n, rest := binary.Uvarint(plain[1+size:])
	if rest <= 0 || n > math.MaxInt32 {
		return Event{}, errNoEvent(id)
	}
	return Event{number, int(n), plain[0] == 1}, nil
}

func errNoEvent(id string) error {
	return rpc.Errorf(rpc.InvalidRequest, "no stream of this session has an event %s", rpc.Excerpt(id))
}

// binding is what event ids are bound to.
func (s *Session) binding() []byte { return append([]byte(s.client.Session), s.owner[:]...) }

// Sent is an event that was written before.
type Sent struct {
	ID   string
	Text []byte
}

// Stand begins to keep a connection's part of the session's own stream. After an event
// of an earlier one that is still kept the stream goes on: it is taken over from the
// connection that had it, and what followed the event is returned. Else it begins
// anew; what is lost then is what the client was told while it was away for too
// long, and not that it has a stream.
func (s *Session) Stand(after Event) (*Track, []Sent) {
	s.mu.Lock()
	old := s.find(after)
	if old == nil || !old.standing || after.n > old.last() {
		defer s.mu.Unlock()
		s.tracked++
		return s.keep(&Track{session: s, number: s.tracked, standing: true, changed: make(chan struct{})}), nil
	}
	t := &Track{
		session: s, number: old.number, standing: true, changed: make(chan struct{}),
		events: old.events, dropped: old.dropped, size: old.size,
	}
	old.events, old.size, old.moved, old.cut = nil, 0, true, true
	s.tracks[slices.Index(s.tracks, old)] = t
	first := max(after.n, t.dropped)
	texts := slices.Clone(t.events[first-t.dropped:])
	s.mu.Unlock()

	missed := make([]Sent, len(texts))
	for i, text := range texts {
		missed[i] = Sent{t.id(first + i + 1), text}
	}
	return t, missed
}

// makeRoom drops the oldest events of a standing track for another one; the session's
// lock is held.
func (t *Track) makeRoom(size int) {
	for len(t.events) > 0 && t.size+size > maxStanding {
		t.size -= len(t.events[0])
		t.session.registry.replayable.Add(-int64(len(t.events[0])))
		t.events = slices.Delete(t.events, 0, 1)
		t.dropped++
	}
}

// Return takes back a notification that did not reach the client. The next stream has
// it first.
func (s *Session) Return(m *rpc.Message) {
	kept := m.Clone()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended && len(s.pending) < s.registry.cfg().Queue+maxUpdates {
		s.pending = slices.Insert(s.pending, 0, kept)
		s.wakeNewest()
	}
}
