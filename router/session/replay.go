package session

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Bounds of what is kept for clients that lost a stream.
const (
	maxTracks     = 32        // streams of one session, the oldest of those that have ended going first
	maxReplay     = 256 << 10 // bytes of one stream
	maxReplayable = 64 << 20  // bytes of all streams of all sessions
	keepEnded     = time.Minute
)

// Track is what went out on the event stream of one call, kept so that the client can
// have it again when the stream broke (MCP 2025-11-25, Streamable HTTP, Resumability
// and Redelivery). Event ids mean something within their session only. All methods may
// be called concurrently.
type Track struct {
	session *Session
	number  uint64

	// Guarded by the session.
	events  [][]byte // the event with the id NUMBER-n is events[n-1]; NUMBER-0 comes before the first
	size    int
	cut     bool // an event was too much to keep: nothing more can be had
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
	t := &Track{session: s, number: s.tracked, changed: make(chan struct{})}
	s.tracks = append(s.tracks, t)
	if len(s.tracks) > maxTracks {
		oldest := max(slices.IndexFunc(s.tracks, func(t *Track) bool { return t.ended }), 0)
		s.tracks[oldest].release()
		s.tracks = slices.Delete(s.tracks, oldest, oldest+1)
	}
	return t
}

// ID returns the id from which the whole stream can be had.
func (t *Track) ID() string { return t.id(0) }

func (t *Track) id(n int) string {
	return strconv.FormatUint(t.number, 10) + "-" + strconv.Itoa(n)
}

// Add keeps the text of a message, which must stay as it is, and returns the id of its
// event: empty if it could not be kept.
func (t *Track) Add(text []byte) string {
	s := t.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.cut || s.ended || t.size+len(text) > maxReplay || s.registry.replayable.Load() > maxReplayable {
		t.release()
		t.stir()
		return ""
	}
	t.size += len(text)
	s.registry.replayable.Add(int64(len(text)))
	t.events = append(t.events, text)
	t.stir()
	return t.id(len(t.events))
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

// Replay returns what follows an event, by its id. The error is InvalidRequest for an
// event that is not kept: it must not look as if the session had ended. Whoever got a
// replay must close it.
func (s *Session) Replay(after string) (*Replay, error) {
	stream, event, _ := strings.Cut(after, "-")
	number, err1 := strconv.ParseUint(stream, 10, 64)
	n, err2 := strconv.Atoi(event)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.tracks, func(t *Track) bool { return t.number == number })
	if err1 != nil || err2 != nil || i < 0 || s.tracks[i].cut || n < 0 || n > len(s.tracks[i].events) {
		return nil, rpc.Errorf(rpc.InvalidRequest, "the stream of event %s cannot be resumed", rpc.Excerpt(after))
	}
	s.tracks[i].readers++
	return &Replay{s.tracks[i], n}, nil
}

// Next waits for the next message and returns its text and the id of its event. It
// returns false when there is none: the stream has ended, is no longer kept, or ctx
// has ended.
func (r *Replay) Next(ctx context.Context) (text []byte, id string, ok bool) {
	for {
		text, id, changed := r.take()
		if text != nil || changed == nil {
			return text, id, text != nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, "", false
		}
	}
}

// take returns the next message, or what to wait for, or neither.
func (r *Replay) take() (text []byte, id string, changed <-chan struct{}) {
	t := r.track
	t.session.mu.Lock()
	defer t.session.mu.Unlock()
	switch {
	case t.cut || t.session.ended:
		return nil, "", nil
	case r.next < len(t.events):
		r.next++
		return t.events[r.next-1], t.id(r.next), nil
	case t.ended:
		return nil, "", nil
	}
	return nil, "", t.changed
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
