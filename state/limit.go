package state

import (
	"fmt"
	"time"
)

// Kind is how a bucket gets empty again. Whatever the kind, a charge is admitted if
// what the bucket holds and the charge together are at most the limit's Max.
type Kind uint8

const (
	// Rate is a token bucket: what it holds leaks out steadily, Refill each Per.
	Rate Kind = 1 + iota
	// Calendar empties where one period of the calendar ends and the next begins.
	Calendar
	// Rolling holds what was charged in the last Per. A charge leaves when it is as old
	// as Per, or up to a sixtieth of Per later, never earlier.
	Rolling
	// InFlight holds what the holds that are still open have charged.
	InFlight
)

// Limit is how much a bucket may hold. It must not be changed once it was used;
// another with the same kind and window may take its place at any time, and its Max
// applies at once.
type Limit struct {
	Kind Kind
	// Max is the most that the bucket may hold, in the unit's smallest step: the burst
	// of a Rate, the budget of a window, the number of slots.
	Max int64
	// Refill is how much leaves a Rate bucket in each Per.
	Refill int64
	// Per is the time of a Refill, or the length of a Rolling window.
	Per time.Duration
	// Period is the window of a Calendar limit.
	Period Period
	// Zone is whose calendar it is; nil is UTC.
	Zone *time.Location
	// Durable says of windows that what was charged outlives a crash. A crash may then
	// count up to a hundredth of what remained as spent, and never forgets what was.
	Durable bool
}

// Rolling windows are kept in this many steps.
const rollingSteps = 60

// Validate says what is wrong with the limit.
func (l *Limit) Validate() error {
	switch {
	case l.Max < 0:
		return fmt.Errorf("state: a limit of %d", l.Max)
	case l.Kind == Rate && (l.Refill <= 0 || l.Per <= 0):
		return fmt.Errorf("state: a rate of %d in %v", l.Refill, l.Per)
	case l.Kind == Rolling && l.Per < rollingSteps*time.Millisecond:
		return fmt.Errorf("state: a rolling window of %v", l.Per)
	case l.Kind == Calendar && (l.Period < Minute || l.Period > Month):
		return fmt.Errorf("state: period %d", l.Period)
	case l.Kind < Rate || l.Kind > InFlight:
		return fmt.Errorf("state: limit of kind %d", l.Kind)
	case l.Durable && l.Kind != Calendar && l.Kind != Rolling:
		return fmt.Errorf("state: durable limit of kind %d", l.Kind)
	}
	return nil
}

// Step returns how long a charge may stay in a Rolling window beyond Per.
func (l *Limit) Step() time.Duration {
	return (l.Per + rollingSteps - 1) / rollingSteps
}

// SameWindow reports whether buckets under both limits get empty in the same way, so
// that they are the same bucket if their keys are equal.
func (l *Limit) SameWindow(other *Limit) bool {
	if l.Kind != other.Kind {
		return false
	}
	switch l.Kind {
	case Calendar:
		return l.Period == other.Period && l.ZoneName() == other.ZoneName()
	case Rolling:
		return l.Per == other.Per
	default:
		return true
	}
}

// ZoneName returns the name of the limit's zone.
func (l *Limit) ZoneName() string { return l.zone().String() }

func (l *Limit) zone() *time.Location {
	if l.Zone == nil {
		return time.UTC
	}
	return l.Zone
}
