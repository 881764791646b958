// Package bridge stands between eras: what an upstream of one era answers becomes
// what a client of the other era can read.
//
// Requests are made to fit an upstream's era by its adapter, which alone knows how to
// speak; here the reply is changed, member by member, and what has no place in the
// client's era is put in other words or taken out. Where a server asks something in
// the middle of a call, a legacy client is asked for a modern server (ask), and a
// modern client's call is parked until it comes back with the answers (park).
//
// Within one era replies are relayed as they are, but for the requestState that
// modern servers issue: it is sealed to the principal, because users share the
// credential upstream.
package bridge
