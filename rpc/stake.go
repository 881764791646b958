package rpc

import "time"

// Stake is what a call holds of limits while it runs. It may be used by many goroutines
// at once.
type Stake interface {
	// Retain keeps the stake until one more Release. It must be called before the reply
	// is closed.
	Retain()
	// Release gives the stake up once everybody has released it.
	Release()
	// Again is asked before a call that may have run is made once more, by the goroutine that serves
	// it. The error says why it cannot be paid for.
	Again() error
}

// Afford asks what is held for the call whether it can be made again although it may have run: it is paid for
// twice then.
func (r *Record) Afford() error {
	if r == nil || r.Stake == nil {
		return nil
	}
	return r.Stake.Again()
}

// Lifetime is how long an answer may be kept, and for whom.
type Lifetime struct {
	Said   bool // whether the server said anything; nothing else holds if it did not
	TTL    time.Duration
	Public bool // others than the caller may be given it
}
