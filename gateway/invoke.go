package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// invoke asks a model in the middle of a call, in the name of who makes that. It is a call of its own, that is seen and paid for
// as any other, and ends with the context or by an operator.
func (g *Gateway) invoke(ctx context.Context, on *rpc.Call, params json.RawMessage) (*rpc.Reply, error) {
	method, _ := infer.Lookup(infer.Invoke)
	ctx, cancel := context.WithCancelCause(ctx)
	c := &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), infer.Invoke, params), Method: method, Dialect: rpc.Infer, Received: time.Now(),
		Endpoint: infer.Path, Host: on.Host, Header: http.Header{}, Bare: true, Remote: on.Remote,
		Principal: on.Principal, Record: on.Record.Child(), Stopper: rpc.StopFunc(cancel),
	}
	c.Record.ID = rpc.NewRecordID()
	reply, err := g.inner(ctx, c)
	if err != nil {
		cancel(err)
		return nil, err
	}
	out := rpc.NewReply(&inner{reply, cancel})
	out.Header, out.Revision = reply.Header, reply.Revision
	return out, nil
}

// inner is the reply of such a call, whose context ends with it.
type inner struct {
	*rpc.Reply
	cancel context.CancelCauseFunc
}

// Close implements [rpc.Source].
func (i *inner) Close() error {
	err := i.Reply.Close()
	i.cancel(nil)
	return err
}

// mayStream reports whether a caller may have answers of models in parts.
func (n *generation) mayStream(c *rpc.Call) bool {
	return n.cfg.Auth == nil || auth.Covers(c.Principal.Scopes, rpc.Infer, infer.Stream)
}
