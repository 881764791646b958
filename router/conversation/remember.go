package conversation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state"
)

// Remember sends invokes that have a prompt and nothing more with what was said before, and remembers what comes of
// them. It belongs before everything that looks at what is sent.
func (k *Keeper) Remember(next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if c.Method.Name != infer.Invoke || !k.remembers(c) {
			return next.Handle(ctx, c)
		}
		invocation, err := infer.ReadInvocation(c.Message)
		if err != nil {
			return nil, err
		}
		history, err := k.store.Recall(ctx, c.Client.Session, c.Target.Canonical)
		if errors.Is(err, state.ErrNoConversation) {
			return nil, k.forgotten(ctx, c, err)
		}
		if err != nil {
			return nil, unavailable(err)
		}
		sent := *c
		sent.Message = k.expand(c, &invocation, &history)
		t := &listener{Keeper: k, ctx: context.WithoutCancel(ctx), call: c, asked: asked(&invocation), after: history.Last}
		reply, err := next.Handle(ctx, &sent)
		if err != nil {
			t.spend()
			return nil, err
		}
		t.reply = reply
		out := rpc.NewReply(t)
		out.Header, out.Revision = reply.Header, reply.Revision
		return out, nil
	})
}

// expand returns the message to send in place of a call's: with what was said before, or with what the server made of
// that. Clients that say it all themselves are taken at their word.
func (k *Keeper) expand(c *rpc.Call, i *infer.Invocation, h *state.History) *rpc.Message {
	if _, own := c.Message.Get(contextMember); own || i.Prompt == nil || len(h.Turns) == 0 && h.Context == nil {
		return c.Message
	}
	out := c.Message.Fork()
	switch made := k.contextFor(c, h); {
	case made != nil:
		out.Set(contextMember, made)
	case len(h.Turns) == 0:
		return c.Message
	default:
		text := append([]byte{'['}, bytes.Join(h.Turns, []byte{','})...)
		text = append(append(text, ','), asked(i)...)
		out.Drop("prompt")
		out.Set("messages", append(text, ']'))
	}
	return out.Clone() // those below look at what is sent
}

// asked returns the messages that an invoke brings, one after another with commas.
func asked(i *infer.Invocation) []byte {
	if i.Prompt != nil {
		return append(append([]byte(`{"role":"user","content":`), i.Prompt...), '}')
	}
	return bytes.TrimSpace(bytes.Clone(i.Messages[1 : len(i.Messages)-1]))
}

// contextMember is that of params and results which holds what a model's server makes of a conversation.
const contextMember = "context"

// A context is of use to the model that made it and to no other, and calls may be routed. So it is kept with the name of
// who made it.
func contextOf(c *rpc.Call, made json.RawMessage) []byte {
	out := rpc.AppendString([]byte(`{"by":`), maker(c))
	return append(append(append(out, `,"context":`...), made...), '}')
}

func maker(c *rpc.Call) string { return c.Target.Upstream + "\n" + c.Target.Own }

// contextFor returns the context to send; nil if there is none that fits.
func (k *Keeper) contextFor(c *rpc.Call, h *state.History) json.RawMessage {
	if h.Context == nil || !k.carries(c) {
		return nil
	}
	o, err := rpc.ReadObject(h.Context)
	if err != nil {
		return nil
	}
	if by, _ := o.Text("by"); by != maker(c) {
		return nil
	}
	made, _ := o.Get("context")
	return made
}
