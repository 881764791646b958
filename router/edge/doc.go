// Package edge is where clients arrive: MCP's Streamable HTTP, both eras on one URL,
// and the transports on which many messages share a connection, HTTP+SSE, WebSocket
// and pipes, both eras again; and the inference dialect, over HTTP and WebSocket.
// It turns bytes into an [rpc.Call], sends the call through the one handler that
// policies and router make up, pulls the [rpc.Reply], and writes it as JSON, as
// Server-Sent Events, as lines or as frames.
//
// The edge decides the era of each request, keeps the session rules of legacy clients
// with package session, and refuses what is malformed, too large, too slow or
// ambiguous before anything else sees it. It knows no upstream, no policy and no
// name: who may do what is decided behind it.
//
// [New] makes the handler, [Plain] and [Server] the servers around it, whose plain connections
// package http1 reads, and [Certificates] follows certificate files. All are used by package
// gateway.
package edge
