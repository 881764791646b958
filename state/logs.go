package state

import (
	"context"
	"errors"
	"time"
)

// ErrGap is in the chain of the error for what has been dropped from a log.
var ErrGap = errors.New("state: that part of the log is gone")

// LogBounds limits one log. What is too much goes from its beginning.
type LogBounds struct {
	Entries int
	Bytes   int
	Keep    time.Duration // since the last Append; then all of it goes
}

// LogEntry is one entry of a log.
type LogEntry struct {
	Seq  uint64
	Data []byte // must not be changed
}

// Logs keeps what was sent, so that it can be sent again: a few short logs for a short
// time, of which a crash leaves nothing. All methods may be called concurrently.
type Logs interface {
	// Append adds an entry, which must not be changed afterwards, and returns its
	// number: the first of a log is 1, and each is one more than that before it. An
	// entry that is larger than the bounds allow leaves only its number.
	Append(ctx context.Context, log string, data []byte, bounds LogBounds) (uint64, error)
	// Range returns up to limit entries after the one with that number, in order. The
	// error wraps [ErrGap] if some that came right after it are gone, or there is no
	// such log and after is not zero.
	Range(ctx context.Context, log string, after uint64, limit int) ([]LogEntry, error)
	// Drop forgets a log.
	Drop(ctx context.Context, log string) error
}
