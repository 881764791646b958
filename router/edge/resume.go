package edge

import (
	"time"

	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/rpc/mcp"
)

// comeBack is how long clients are told to wait before they resume a stream.
const comeBack = 1500 * time.Millisecond

// keepTrack makes the stream of a legacy request one that can be resumed, from its very
// beginning where the client knows how.
func (x *exchange) keepTrack() {
	t, ok := mcp.Of(x.session.Client().Revision)
	if !ok || !t.Resumable {
		return
	}
	x.track = x.session.Track()
	if t.Primed {
		x.prime()
	}
}

// prime gives the client an id to come back with before there is an event. Clients of
// revisions before 2025-11-25 would choke on an event without data.
func (x *exchange) prime() {
	x.write(frame.AppendEvent(nil, frame.Event{ID: x.track.ID(), Retry: comeBack, Data: []byte{}}))
	x.flush()
	x.settle()
}

// settle notes that an event with an id was written. A client that left before it had
// one cannot come back.
func (x *exchange) settle() {
	switch {
	case x.track == nil || x.named:
	case !x.isLost() && x.r.Context().Err() == nil:
		x.named = true
	default:
		x.track.End()
		x.track = nil
	}
}

// resumable reports whether a client that is gone can come back for what it missed.
func (x *exchange) resumable() bool { return x.track != nil && x.track.Kept() }

// stand makes a session's own stream one that can be resumed, and writes what the
// client missed of it behind an event.
func (x *exchange) stand(s *session.Session, after session.Event) {
	t, ok := mcp.Of(s.Client().Revision)
	if !ok || !t.Resumable {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var missed []session.Sent
	x.track, missed = s.Stand(after)
	for _, m := range missed {
		x.write(frame.AppendEvent(nil, frame.Event{ID: m.ID, Data: m.Text}))
	}
	x.flush()
	x.named = len(missed) > 0 && !x.isLost()
	if t.Primed {
		x.prime()
	}
}

// tell writes a notification on a session's own stream. It reports whether it reached
// the client, or will when the client comes back, and whether more can be written.
func (x *exchange) tell(m *rpc.Message) (kept, more bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.isLost() {
		return false, false
	}
	x.event(m)
	return !x.isLost() || x.resumable(), !x.isLost()
}

// replay resumes the stream of a call behind an event. That an event is none is said
// only to whom the session belongs.
func (x *exchange) replay(s *session.Session, after session.Event, unknown error) error {
	x.newCall(s.Client(), resumeRow, x.resuming)
	ctx := x.lasting(x.r.Context())
	if err := x.attempt(ctx); err != nil {
		return err
	}
	x.until(x.call.Principal.Expires)
	if unknown != nil {
		return unknown
	}
	r, err := s.Replay(after)
	if err != nil {
		return err
	}
	defer r.Close()
	x.open(nil)
	for {
		text, id, ok := r.Next(ctx)
		if !ok || !x.again(text, id) {
			return nil
		}
	}
}

// again writes an event that was written before, or would have been.
func (x *exchange) again(text []byte, id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.write(frame.AppendEvent(nil, frame.Event{ID: id, Data: text}))
	x.flush()
	return !x.isLost()
}
