// Package upstream is how the gateway reaches what stands behind it.
//
// A [Pool] is what is behind one upstream: backends, of which it chooses one for each call, and which it leaves alone when they fail.
// Breakers, ejection, probes and slow start are its own, whatever the backends speak.
//
// An [Admission] stands before a pool that can do so much at a time: who waits for it, in which turn, and who is refused at once.
// [Retries] stand between the two: they make calls again that failed, where that does no harm.
//
// It also holds the HTTP/1.1 client that the adapters below it (upstream/mcpserver, upstream/model) send their calls with. The client
// exists because a gateway pays for its transport on every call: it has no goroutine per connection, writes a request with one
// system call, reads answers straight into the caller's buffer, and a cancelled context simply closes the connection. It
// refuses what is not plainly HTTP/1.1 instead of repairing it, since a repaired answer is how two hops come to disagree.
//
// It is no general HTTP client: it follows no redirects, keeps no cookies, uses no proxy, decompresses nothing and retries nothing
// that may have run. It knows nothing of MCP, of eras or of policies.
package upstream
