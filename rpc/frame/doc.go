// Package frame cuts byte streams into messages and puts messages into byte streams: Server-Sent Events and
// newline-delimited JSON. Both sides of the gateway share it: router/edge writes to clients with it, the adapters
// below upstream/ read from servers with it.
//
// It knows nothing of what is inside a message: no JSON is parsed here, and nothing is promised about the encoding of
// what the readers return. It starts no goroutines, owns no connections and keeps no state beyond its reader's buffer.
//
// Everything read is treated as hostile: a reader holds at most its limit and one read of bytes, whatever arrives.
package frame
