package state

import (
	"context"
	"errors"
	"time"
)

// Bounds of what is remembered of one session.
const (
	MaxLevel           = 32        // bytes of [Session].Level
	MaxClient          = 72 << 10  // bytes of [Session].Client
	MaxSubscriptions   = 1024      // resources that a session has subscribed to
	MaxSubscribed      = 256 << 10 // bytes of all of them
	MaxSubscriptionURI = 16 << 10  // bytes of one URI of them
)

var (
	// ErrClosed is returned by an engine that has been closed.
	ErrClosed = errors.New("state: the engine is closed")
	// ErrFull is in the chain of the error for what exceeds a bound.
	ErrFull = errors.New("state: too much is remembered already")
)

// Session is what is remembered of a legacy client's session beside what its id
// carries.
type Session struct {
	Used  time.Time // its last use that was noted, to the millisecond; zero if none was
	Ended bool      // it was ended and stays so
	Level string    // of the log messages its client wants; empty if it never said

	// Client is what its client said of itself, where an id is too short for it. Whoever
	// gets it must not change it.
	Client []byte
	// Subscriptions are in no particular order.
	Subscriptions []ResourceSubscription
}

// ResourceSubscription is a resource of whose changes a session wants to be told.
type ResourceSubscription struct {
	URI      string // as the client knows it: what a session has one subscription for
	Upstream string // which has the resource
	Own      string // its URI there
}

// Size is what a subscription adds to [MaxSubscribed], in bytes.
func (s *ResourceSubscription) Size() int { return len(s.URI) + len(s.Upstream) + len(s.Own) }

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
	// SetClient notes what the client of a new session said of itself. Once it returns
	// nil, that outlives a crash. An engine that is full gives up what it knows of sessions
	// that were not used for longest.
	SetClient(ctx context.Context, key string, text []byte, until time.Time) error
	// Subscribe notes a subscription, in place of the one for the same URI. Once it
	// returns nil, that outlives a crash. Of a session that has ended nothing is noted.
	Subscribe(ctx context.Context, key string, s ResourceSubscription, until time.Time) error
	// Unsubscribe forgets the subscription for a URI, if there is one. Once it returns
	// nil, no crash brings it back.
	Unsubscribe(ctx context.Context, key, uri string) error
	// Lapse forgets the client and the subscriptions of a session whose time is over. It
	// does not wait.
	Lapse(key string)
	// End notes that a session has ended for good, and forgets its client and its
	// subscriptions. Once it returns nil, no crash brings the session back.
	End(ctx context.Context, key string, until time.Time) error
}
