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
}

// Lifetime is how long an answer may be kept, and for whom.
type Lifetime struct {
	Said   bool // whether the server said anything; nothing else holds if it did not
	TTL    time.Duration
	Public bool // others than the caller may be given it
}
