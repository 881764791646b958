package state

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// Bounds of reservations.
const (
	MaxCharges = 32      // of one reservation
	MaxBucket  = 4 << 10 // bytes of a bucket's name
)

// HoldID names a hold. It is random, or made of something that is, and used once.
type HoldID [16]byte

// Charge is what a call takes from one bucket.
type Charge struct {
	// Bucket names what is counted, such as one budget of one team. It differs from the
	// others of its reservation.
	Bucket string
	// Cost is what is taken, in the unit's smallest step: requests, tokens, millionths
	// of a dollar, bytes, slots. Not negative.
	Cost int64
	// Limit is the bucket's, and where it is the same as before, the same pointer.
	Limit *Limit
}

// Balance is how a bucket stands after an operation.
type Balance struct {
	Limit     int64         // the most it may hold
	Remaining int64         // how much more it takes; not negative
	Reset     time.Duration // until it is empty if nothing is charged, of a Calendar until its period ends; zero for slots
}

// Never is the time until a charge fits that is larger than its limit.
const Never time.Duration = math.MaxInt64

// Refusal is the error of a reservation that one of its charges does not allow. Of
// several it names the one that will allow it last; among equals, the first.
type Refusal struct {
	Charge  int // index in the charges that were handed in
	Bucket  string
	Cost    int64
	Balance Balance // as it stands without the charge
	// RetryAfter is how long the charge will be refused for lack of room if nothing
	// else is charged: [Never] if it cannot fit, zero if that depends on other calls.
	RetryAfter time.Duration
}

// Error says which charge was refused.
func (r *Refusal) Error() string {
	return fmt.Sprintf("state: bucket %q has %d of %d left, %d asked", r.Bucket, r.Balance.Remaining, r.Balance.Limit, r.Cost)
}

// ErrNoHold is in the chain of the error for a hold that is not open: it was settled,
// or its time was over, or it never was.
var ErrNoHold = errors.New("state: no such hold is open")

// LateSettle is how long after its time is over a hold can still be settled, at
// least.
const LateSettle = 10 * time.Minute

// Quota counts what is taken, and refuses what would be too much. Calls reserve what
// they may cost before they run and settle what they did cost afterwards: that is why
// no crowd of calls together takes more than there is. All methods may be called
// concurrently; each is one step that others see wholly or not at all.
//
// Balances are appended to into[:0], one for each charge in its order, so that a
// caller may use its slice again; into may be nil. The slices that are handed in are
// not kept. Errors are a [*Refusal], or wrap [ErrNoHold], [ErrUnavailable], [ErrClosed]
// or that of ctx; after each of them nothing is charged that was not before.
type Quota interface {
	// Reserve takes all charges, or none and the error is a *Refusal. What it has taken
	// is a hold, which Settle ends. A hold whose time is over counts as spent, its slots
	// as released.
	//
	// With a ttl of zero there is no hold: the charges are spent at once, none of them
	// may be for slots, and the id has no meaning. An id that is open already takes
	// nothing again.
	Reserve(ctx context.Context, id HoldID, charges []Charge, ttl time.Duration, into []Balance) ([]Balance, error)

	// Extend takes more for an open hold, all of it or none: more[i] beside what the
	// charge i holds. It may be shorter than the charges were. The hold's time ends ttl
	// from now, if that is later than it would.
	Extend(ctx context.Context, id HoldID, more []int64, ttl time.Duration, into []Balance) ([]Balance, error)

	// Settle ends a hold: the charge i cost actual[i] in truth, or where actual is
	// shorter, as much as it holds. Too much is given back to the window that it was
	// taken from, if that lasts. What is missing is charged now, whether or not it
	// fits, because it is spent. Slots are released whatever the actual is.
	//
	// It reports whether it was this call that ended the hold. With an error beside that,
	// the hold is settled, and only a crash in the next moments may forget what was
	// missing. Nothing happens where
	// the hold was settled before, or forgotten, which is [LateSettle] after its time.
	Settle(ctx context.Context, id HoldID, actual []int64) (bool, error)

	// Lease takes as much of the charge's cost as there is, and is refused if there is
	// nothing. What it has taken is a hold, to be spent by the caller in small steps
	// without asking again, and settled with what it spent.
	Lease(ctx context.Context, id HoldID, charge Charge, ttl time.Duration) (int64, Balance, error)

	// Peek answers what Reserve would, and takes nothing. Balances are there also if
	// the error is a *Refusal.
	Peek(ctx context.Context, charges []Charge, into []Balance) ([]Balance, error)
}
