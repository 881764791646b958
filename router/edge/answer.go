package edge

import (
	"context"
	"net/http"

	"github.com/headgate/headgate/rpc"
)

// run sends a call through the handler and writes what comes back: exactly one
// response for a request, whatever happens, and 202 for everything else.
func (x *exchange) run(ctx context.Context, c *rpc.Call) error {
	request := c.Message.IsRequest()
	x.await(!request)
	reply, err := x.handle(ctx, c)
	if err != nil {
		return err
	}
	defer x.close(reply)
	x.keepHeader(reply.Header)
	if request {
		return x.relay(reply)
	}
	x.exhaust(reply)
	x.acknowledge(http.StatusAccepted)
	return nil
}
