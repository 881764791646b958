// Package http1 is the side of HTTP/1.1 that answers (RFC 9110, RFC 9112), for plain connections from clients and from
// the proxies in front of the gateway.
//
// It exists for two reasons. A request that two readers could cut differently is how one request is hidden in another, so
// this reader refuses what others repair: bare line feeds, folded lines, Content-Length beside Transfer-Encoding or
// twice, codings other than chunked. And a gateway pays for its server on every call: here a request costs one read, one
// write and a handful of allocations, and no goroutine watches for a client's departure before a call has taken a while.
//
// Handlers are those of net/http and see what they would see there, with these differences: trailers of requests are read
// and dropped, informational answers other than 100 cannot be written, HTTP/1.0 connections end after one answer, and the
// type of a body is not guessed. It is no general server: there is no TLS here and no HTTP/2, for which the gateway uses
// net/http.
package http1
