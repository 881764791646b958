package edge

import (
	"time"

	"github.com/headgate/headgate/rpc"
)

// A legacy client that disconnects has not cancelled (MCP 2025-11-25, Streamable
// HTTP, Sending Messages to the Server). Its call goes on: the exchange keeps pulling
// the reply to its end without writing, and only notifications/cancelled, the end of
// the session, a deadline or [Config.Orphan] stop it. A modern client's call ends
// with the request's context.

// lose notes that the client is gone. It is called with the lock held.
func (x *exchange) lose() {
	if x.lostAt.IsZero() {
		x.lostAt = time.Now()
	}
}

func (x *exchange) isLost() bool { return !x.lostAt.IsZero() }

// lookAtClient notices that the client of a legacy call is gone while nothing is
// written to it, and stops the call after a while.
func (x *exchange) lookAtClient() {
	if x.cancel == nil {
		return
	}
	if x.r.Context().Err() != nil {
		x.lose()
	}
	if x.track != nil && x.track.Read() {
		x.lostAt = time.Now() // it is back, on another connection
	}
	if x.isLost() && time.Since(x.lostAt) > x.cfg().Orphan {
		x.cancel(rpc.Errorf(rpc.Cancelled, "the client has been gone for %v", x.cfg().Orphan))
	}
}
