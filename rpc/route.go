package rpc

import "time"

// Route is what a routing rule says of the calls that match it, beside who serves them. It never changes.
type Route struct {
	Rule      string   // where the rule is, for people
	Does      string   // what it does, for people
	Mirror    string   // the upstream that gets a copy of the call; empty if none does
	MirrorAll bool     // whether calls are copied that may change something
	Fallback  []string // upstreams that stand in for one that cannot be used, in order
	// How long the upstream may be silent, and how long the call may take in all. 0 leaves that to the upstream's configuration.
	Timeout, MaxTimeout time.Duration
}
