package sampling

import (
	"context"
	"fmt"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// sample answers a question: with what a model says, or with why there is nothing.
func (s *Sampler) sample(ctx context.Context, c *rpc.Call, q *rpc.Message) *rpc.Message {
	params, err := s.params(q)
	if err != nil {
		return refuse(q.ID, mcp.CodeInvalidParams, err.Error())
	}
	said, err := s.invoke(ctx, c, params)
	if err != nil {
		s.Log.WarnContext(ctx, "sampling: no answer", "upstream", c.Target.Upstream, "error", err.Error())
		return refuse(q.ID, mcp.CodeInternal, rpc.AsError(err).Message)
	}
	answer, err := answerOf(said)
	if err != nil {
		s.Log.WarnContext(ctx, "sampling: the model's answer cannot be passed on", "upstream", c.Target.Upstream, "error", err.Error())
		return refuse(q.ID, mcp.CodeInternal, err.Error())
	}
	return rpc.NewResult(q.ID, answer)
}

// invoke calls the model and returns the response.
func (s *Sampler) invoke(ctx context.Context, c *rpc.Call, params []byte) (*rpc.Message, error) {
	reply, err := s.Invoke(ctx, c, params)
	if err != nil {
		return nil, err
	}
	defer func() { _ = reply.Close() }() // what was said is there
	for {
		m, err := reply.Next()
		switch {
		case rpc.IsEnd(err):
			return nil, rpc.Errorf(rpc.UpstreamFailed, "the model gave no answer")
		case err != nil:
			return nil, err
		case m.Err != nil:
			return nil, rpc.Errorf(rpc.UpstreamFailed, "the model answered error %d: %s", m.Err.Code, rpc.Excerpt(m.Err.Message))
		case m.IsResponse():
			return m.Clone(), nil
		}
	}
}

// answerOf writes what a model said as the result of a question.
func answerOf(said *rpc.Message) ([]byte, error) {
	text, ok := said.Text("output")
	if !ok {
		return nil, fmt.Errorf("the model said something else than text")
	}
	model, _ := said.Text("model")
	out := rpc.AppendString([]byte(`{"role":"assistant","content":{"type":"text","text":`), text)
	out = rpc.AppendString(append(out, `},"model":`...), model)
	if why, ok := said.Text("finish_reason"); ok {
		out = rpc.AppendString(append(out, `,"stopReason":`...), stopReason(why))
	}
	return append(out, '}'), nil
}

// stopReason returns the word of MCP for why a model stopped, where it has one.
func stopReason(why string) string {
	switch why {
	case "stop":
		return "endTurn"
	case "length":
		return "maxTokens"
	}
	return why
}

// refuse answers a question with an error.
func refuse(id rpc.ID, code int64, text string) *rpc.Message {
	return rpc.NewError(id, &rpc.WireError{Code: code, Message: "sampling: " + text})
}
