package mcpserver

import (
	"context"
	"encoding/json"

	"github.com/headgate/headgate/rpc"
)

// link is one conversation with the upstream: a stateless HTTP endpoint, a legacy HTTP
// session, or a duplex connection. All methods may be called concurrently.
type link interface {
	// hop returns what is the same for all messages of the link.
	hop() *hop
	// send starts an exchange. The context governs what it returns until that is
	// closed. A *stale error says that the exchange certainly did not run and that
	// the link is of no more use.
	send(ctx context.Context, x *exchange) (rpc.Source, error)
	// description returns what the upstream said of itself; nil before the handshake.
	description() *Description
	// alive reports whether further calls may be sent.
	alive() bool
	// busy reports whether a call is in flight.
	busy() bool
	// close ends the link in the way its transport has for that, as long as ctx
	// lasts, and then without ceremony.
	close(ctx context.Context)
}

// dialer opens links over one transport.
type dialer interface {
	// open connects and shakes hands in the given era. The error is errOtherEra if
	// the upstream answered and does not speak that era.
	open(ctx context.Context, era rpc.Era, h hello) (link, error)
	// transport names it: "http", "stdio", "sse" or "ws".
	transport() string
	// close gives up what open left behind.
	close(ctx context.Context)
}

// hello is how the gateway introduces itself on a link.
type hello struct {
	info   json.RawMessage // Implementation
	caps   json.RawMessage // ClientCapabilities; nil for none
	turns  bool            // calls of several clients take turns on the link
	pinned bool            // the configuration fixes the era: there is no other to fall back to
	known  bool            // the upstream spoke the era before, so that silence means that it is slow
}
