package edge

import (
	"time"

	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/rpc/mcp"
)

// comeBack is how long clients are told to wait before they resume a stream.
const comeBack = 1500 * time.Millisecond

// keepTrack makes the stream of a legacy request one that can be resumed, from its very
// beginning. Clients of revisions before 2025-11-25 would choke on an event without
// data, so theirs cannot.
func (x *exchange) keepTrack() {
	if t, ok := mcp.Of(x.call.Client.Revision); !ok || !t.Primed {
		return
	}
	x.track = x.flight.Track()
	x.write(frame.AppendEvent(nil, frame.Event{ID: x.track.ID(), Retry: comeBack, Data: []byte{}}))
	x.flush()
	if x.isLost() || x.r.Context().Err() != nil { // before it got an id to come back with
		x.track.End()
		x.track = nil
	}
}

// replay resumes the stream of a call behind an event.
func (x *exchange) replay(s *session.Session, last string) error {
	x.newCall(s.Client(), connectRow, x.connecting)
	if err := x.attempt(x.r.Context()); err != nil {
		return err
	}
	r, err := s.Replay(last)
	if err != nil {
		return err
	}
	defer r.Close()
	x.open(nil)
	for {
		text, id, ok := r.Next(x.r.Context())
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
