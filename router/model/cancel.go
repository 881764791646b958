package model

import (
	"context"
	"encoding/json"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// cancel ends a request of the caller's session, or a job.
func (r *Router) cancel(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	what, err := infer.ReadCancellation(c.Message)
	switch {
	case err != nil:
		return nil, err
	case what.Job != "" && r.Jobs != nil:
		return r.Jobs.Handle(ctx, c)
	case what.Job != "":
		return nil, unknownJob()
	}
	return respond(c, struct {
		Cancelled bool `json:"cancelled"`
	}{c.Flight != nil && c.Flight.Cancel(what.ID)})
}

// answer answers a heartbeat or a ping.
func answer(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
	nonce, err := infer.ReadNonce(c.Message)
	if err != nil {
		return nil, err
	}
	return respond(c, struct {
		Nonce json.RawMessage `json:"nonce,omitempty"`
		Time  string          `json:"time"`
	}{nonce, time.Now().UTC().Format(time.RFC3339Nano)})
}
