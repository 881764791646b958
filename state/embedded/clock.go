package embedded

import (
	"context"
	"time"

	"github.com/headgate/headgate/state"
)

// clock is what the wall clock said when the engine was opened, and what has passed
// since: whoever sets the clock changes no limit.
type clock struct {
	wall   int64     // what it said, in nanoseconds since 1970
	opened time.Time // when, by the clock that nobody sets
}

func newClock() clock {
	now := time.Now()
	return clock{now.UnixNano(), now}
}

var _ state.Clock = clock{}

// nanos returns the time in nanoseconds since 1970.
func (c clock) nanos() int64 { return c.wall + int64(time.Since(c.opened)) }

// Now returns the engine's time. It does not fail.
func (c clock) Now(context.Context) (time.Time, error) { return time.Unix(0, c.nanos()), nil }
