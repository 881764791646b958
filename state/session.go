package state

import (
	"context"
	"errors"
	"time"
)

// MaxLevel bounds the length of [Session].Level in bytes.
const MaxLevel = 32

// ErrClosed is returned by an engine that has been closed.
var ErrClosed = errors.New("state: the engine is closed")

// Session is what is remembered of a legacy client's session beside what its id
// carries.
type Session struct {
	Used  time.Time // its last use that was noted, to the millisecond; zero if none was
	Ended bool      // it was ended and stays so
	Level string    // of the log messages its client wants; empty if it never said
}

// Sessions remembers sessions, by a key that tells nothing about them. All methods
// may be called concurrently. Until is when the session's id stops being good, after
// which nothing of it is remembered.
type Sessions interface {
	// Recall returns what is remembered of a session: the zero Session if nothing is.
	// The engine itself bounds the time this takes: a request waits for it that has
	// not yet begun to be a call.
	Recall(key string) (Session, error)
	// Note says when a session was used. It does not wait: a crash may lose notes of
	// the last second or so. An earlier time than is known changes nothing.
	Note(key string, used, until time.Time)
	// SetLevel notes which log messages the client wants. Once it returns nil, that
	// outlives a crash.
	SetLevel(ctx context.Context, key, level string, until time.Time) error
	// End notes that a session has ended for good. Once it returns nil, no crash
	// brings the session back.
	End(ctx context.Context, key string, until time.Time) error
}
