// Package rpc is the vocabulary of the gateway: one JSON-RPC message and its
// exact bytes, the call it becomes on its way in, the reply that comes back, and
// the handlers and middlewares between the two.
//
// A [Message] is read by one strict pass that records where its members lie. What
// the gateway has no reason to change is never decoded and never written anew:
// ids and progress tokens are bytes, numbers keep their digits, objects keep
// their order. A change is an edit of a named member, recorded on the message and
// applied once, when the message is written.
//
// A [Reply] is pulled: notifications and questions first, then one response, then
// io.EOF. That makes back-pressure free and lets a retry happen as long as nothing
// has been read.
//
// The package knows no transport, no dialect and no policy. Those are
// [github.com/headgate/headgate/rpc/frame], [github.com/headgate/headgate/rpc/mcp]
// and everything that implements [Handler]. It imports the standard library only.
package rpc
