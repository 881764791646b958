package rpc

import "sync/atomic"

// Place is the place of a call in a list of those in flight. It lies in the call's record,
// so that keeping the list costs no memory; it belongs to the one observer that keeps it.
type Place struct {
	Call       *Call // while it is in the list
	ID         uint64
	Next, Prev *Place
	// Settled says that the call's three writers are done with it, so that others may read
	// all of it.
	Settled atomic.Bool
}
