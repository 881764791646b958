// Package bridge stands between eras: what an upstream of one era answers becomes
// what a client of the other era can read.
//
// Within one era everything is relayed as it is, and this package does not look at
// it. Requests are made to fit an upstream's era by its adapter, which alone knows
// how to speak; here only the reply is changed, member by member, and what has no
// place in the client's era is taken out or put in other words.
package bridge
