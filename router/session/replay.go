package session

import (
	"context"
	"slices"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Bounds of what is kept for clients that lost a stream.
const (
	maxTracks     = 32        // streams of one session, the oldest of those that have ended going first
	maxReplay     = 256 << 10 // bytes of one call's stream
	maxStanding   = 16 << 10  // bytes of a session's own stream, which may last for a day
	maxReplayable = 64 << 20  // bytes of all streams of all sessions
	keepEnded     = time.Minute
)

// Track is what went out on an event stream, kept so that the client can have it again
// when the stream broke (MCP 2025-11-25, Streamable HTTP, Resumability and Redelivery).
// All methods may be called concurrently.
type Track struct {
	session  *Session
	number   uint64
	standing bool // the session's own stream, which no call began

	// Guarded by the session.
	events  [][]byte // the text of event n is events[n-1-dropped]; event 0 comes before the first
	dropped int      // events that a standing track had no room for any more
	size    int
	cut     bool // an event was too much to keep: nothing more can be had
	moved   bool // the stream goes on in another track, for another connection
	ended   bool
	endedAt time.Time
	readers int
	changed chan struct{} // closed when there is more
}

// Track begins to keep the stream of a call. It is forgotten a while after its
// end, with the session, or when newer ones need the room.
func (s *Session) Track() *Track {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tracked++
	return s.keep(&Track{session: s, number: s.tracked, changed: make(chan struct{})})
}

// keep adds a track; the lock is held.
func (s *Session) keep(t *Track) *Track {
	s.tracks = append(s.tracks, t)
	if len(s.tracks) > maxTracks {
		oldest := max(slices.IndexFunc(s.tracks, func(t *Track) bool { return t.ended }), 0)
		s.tracks[oldest].release()
		s.tracks[oldest].stir() // who reads it has to know
		s.tracks = slices.Delete(s.tracks, oldest, oldest+1)
	}
	return t
}

// ID returns the id from which everything can be had that is still to come.
func (t *Track) ID() string {
	t.session.mu.Lock()
	n := t.last()
	t.session.mu.Unlock()
	return t.id(n)
}

func (t *Track) id(n int) string { return t.session.sealEvent(Event{t.number, n, t.standing}) }

// last returns the number of the last event; the session's lock is held.
func (t *Track) last() int { return t.dropped + len(t.events) }

// Add keeps the text of a message, which must stay as it is, and returns the id of its
// event: empty if it could not be kept. It reports false, and keeps nothing, where
// another connection has taken the stream over.
func (t *Track) Add(text []byte) (id string, ok bool) {
	n, ok := t.add(text)
	if n > 0 {
		id = t.id(n)
	}
	return id, ok
}

func (t *Track) add(text []byte) (n int, ok bool) {
	s := t.session
	s.mu.Lock()
	defer s.mu.Unlock()
	defer t.stir()
	if t.moved {
		return 0, false
	}
	if t.standing {
		t.makeRoom(len(text))
	}
	if t.cut || s.ended || t.size+len(text) > maxReplay || s.registry.replayable.Load() > maxReplayable {
		t.release()
		return 0, true
	}
	t.size += len(text)
	s.registry.replayable.Add(int64(len(text)))
	t.events = append(t.events, text)
	return t.last(), true
}

// End says that nothing more comes.
func (t *Track) End() {
	t.session.mu.Lock()
	defer t.session.mu.Unlock()
	t.ended, t.endedAt = true, time.Now()
	t.stir()
}

// Kept reports whether all of the stream can still be had.
func (t *Track) Kept() bool {
	t.session.mu.Lock()
	defer t.session.mu.Unlock()
	return !t.cut
}

// Read reports whether somebody reads the stream again.
func (t *Track) Read() bool {
	t.session.mu.Lock()
	defer t.session.mu.Unlock()
	return t.readers > 0
}

// release gives the room back; the session's lock is held.
func (t *Track) release() {
	t.session.registry.replayable.Add(-int64(t.size))
	t.events, t.size, t.cut = nil, 0, true
}

func (t *Track) stir() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// Replay is one reading of a track.
type Replay struct {
	track *Track
	next  int
}

// Replay returns what follows an event of a call's stream. The error is InvalidRequest
// for one that is not kept: it must not look as if the session had ended. Whoever got
// a replay must close it.
func (s *Session) Replay(after Event) (*Replay, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.find(after)
	if t == nil || t.standing || after.n > len(t.events) {
		return nil, rpc.Errorf(rpc.InvalidRequest, "the stream is not kept any more: it cannot be resumed")
	}
	t.readers++
	return &Replay{t, after.n}, nil
}

// find returns the track of an event's stream, nil if it is not kept. The lock is held.
func (s *Session) find(e Event) *Track {
	i := slices.IndexFunc(s.tracks, func(t *Track) bool { return t.number == e.number && !t.cut })
	if i < 0 {
		return nil
	}
	return s.tracks[i]
}

// Next waits for the next message and returns its text and the id of its event. It
// returns false when there is none: the stream has ended, is no longer kept, or ctx
// has ended.
func (r *Replay) Next(ctx context.Context) (text []byte, id string, ok bool) {
	for {
		text, changed := r.take()
		if text != nil {
			return text, r.track.id(r.next), true
		}
		if changed == nil {
			return nil, "", false
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, "", false
		}
	}
}

// take returns the next message, or what to wait for, or neither.
func (r *Replay) take() (text []byte, changed <-chan struct{}) {
	t := r.track
	t.session.mu.Lock()
	defer t.session.mu.Unlock()
	switch {
	case t.cut || t.session.ended:
		return nil, nil
	case r.next < len(t.events):
		r.next++
		return t.events[r.next-1], nil
	case t.ended:
		return nil, nil
	}
	return nil, t.changed
}

// Close ends the reading.
func (r *Replay) Close() {
	r.track.session.mu.Lock()
	defer r.track.session.mu.Unlock()
	r.track.readers--
}

// expireTracks forgets streams that ended a while ago. One that was written to its end
// is kept till then too: that it was written does not mean that it arrived.
func (s *Session) expireTracks(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tracks = slices.DeleteFunc(s.tracks, func(t *Track) bool {
		if !t.ended || now.Sub(t.endedAt) < keepEnded {
			return false
		}
		t.release()
		return true
	})
}

// forgetTracks gives up what is kept of streams when the session has ended; the lock is
// held.
func (s *Session) forgetTracks() {
	for _, t := range s.tracks {
		t.release()
		t.stir()
	}
	s.tracks = nil
}
