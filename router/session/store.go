package session

import (
	"context"
	"log/slog"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// What of a session outlives the process, beside what its id carries, is in a store:
// that it was ended, when it was used, the level of its log, what it has subscribed to,
// and what its client said of itself if that is too long for the id. The store is asked
// once in the life of a process about each session. It is told of uses in passing,
// by the sweep, so that no call waits for it, and a process that was killed may have
// used a session up to two sweeps longer than the store knows.

// until is when the id of a session stops being good, whatever is remembered of it.
func (r *Registry) until(created time.Time) time.Time { return created.Add(r.cfg().Max) }

// recall returns what an earlier use of a session left. Sessions that ended are
// unknown.
func (r *Registry) recall(key string, created, now time.Time) (state.Session, error) {
	past, err := r.cfg().Store.Recall(key)
	if err != nil {
		return past, &rpc.Error{Code: rpc.Internal, Message: "what is remembered of the session cannot be read; try again", Cause: err}
	}
	if past.Ended {
		return past, errUnknown()
	}
	if now.After(r.expiry(created, past.Used)) {
		r.cfg().Store.Lapse(key)
		return past, errUnknown()
	}
	return past, nil
}

// note tells the store of a session's last use, if it does not know yet. What is in
// use is used until now.
func (r *Registry) note(s *Session, now time.Time) {
	used := s.used.Load()
	if s.busy() {
		used = now.UnixNano()
	}
	if s.noted.Swap(used) != used {
		r.cfg().Store.Note(s.client.Session, time.Unix(0, used), r.until(s.created))
	}
}

// noteAll tells the store of all sessions' uses.
func (r *Registry) noteAll(now time.Time) {
	for i := range r.shards {
		for _, s := range r.shards[i].sessions() {
			r.note(s, now)
		}
	}
}

// leave ends a session as its client wants. It is acknowledged when no restart can
// bring the session back, which holds whether or not the client waits for that.
func (r *Registry) leave(ctx context.Context, s *Session) error {
	return r.expel(ctx, s, rpc.Errorf(rpc.Cancelled, "the client ended the session"))
}

// expel ends a session for good.
func (r *Registry) expel(ctx context.Context, s *Session, cause error) error {
	r.end(s, cause)
	if err := r.cfg().Store.End(context.WithoutCancel(ctx), s.client.Session, r.until(s.created)); err != nil {
		r.log.ErrorContext(ctx, "the end of a session was not written", slog.Any("error", err))
		return &rpc.Error{Code: rpc.Internal, Message: "the session has ended, but that could not be written", Cause: err}
	}
	return nil
}

// forgetful is the store of a process whose sessions end with it. It keeps what does not
// fit into ids.
type forgetful struct{ shelf }

var _ state.Sessions = (*forgetful)(nil)

func (f *forgetful) Recall(key string) (state.Session, error) {
	return state.Session{Client: f.get(key)}, nil
}

func (f *forgetful) SetClient(_ context.Context, key string, text []byte, _ time.Time) error {
	f.put(key, text)
	return nil
}

func (f *forgetful) Lapse(key string) { f.drop(key) }

func (*forgetful) Note(string, time.Time, time.Time)                         {}
func (*forgetful) SetLevel(context.Context, string, string, time.Time) error { return nil }

func (*forgetful) Subscribe(context.Context, string, state.ResourceSubscription, time.Time) error {
	return nil
}

func (*forgetful) Unsubscribe(context.Context, string, string) error { return nil }

func (*forgetful) End(context.Context, string, time.Time) error { return nil }
