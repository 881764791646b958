// Package mcpserver is the gateway's client of one MCP server: a [Server] takes
// calls and gives replies, whatever the server's era and transport are.
//
// Between the two stands a link: a stateless HTTP endpoint (modern), a session of
// Streamable HTTP or of HTTP+SSE (legacy), a child process or a WebSocket (either era). Links are opened by the
// first call that needs them and opened again when they end. Which link a call uses
// is decided by the era both sides speak and by what the client lets a server ask
// for: clients that can be asked nothing share one link, others have their own,
// because a question carries no word about whose call it belongs to.
//
// The message a client sent is never changed; what goes upstream is a fork of it with
// the gateway's own id and progress token, the upstream's own name, and the _meta of
// the hop. Messages that come back get the client's bytes again and are otherwise
// relayed as they were received.
//
// What it is not: it does not choose among backends, retry, or convert payloads
// between eras. A call is repeated only if it certainly did not run, because the
// session it was meant for had ended. Package gateway makes Servers; the router calls
// them through bridge.
package mcpserver
