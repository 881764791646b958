package socket

// State is what a look at a connection shows.
type State uint8

// States.
const (
	Gone     State = iota // closed by the peer, or broken
	Readable              // something has arrived
	Quiet
)
