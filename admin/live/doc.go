// Package live knows what the gateway is doing at this moment: the calls in flight and
// the streams that stand open, how far each has come, and how to end it; and what became
// of those that ended of late.
//
// It is written by the goroutines that serve the calls and read by package admin, for
// operators. It changes no call, and nothing of it outlives the process.
package live
