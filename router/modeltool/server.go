package modeltool

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// prefix stands before the name of a model in that of its tool.
const prefix = "invoke_"

// Model is a model that is shown as a tool.
type Model struct {
	Name    string
	Context int // tokens that prompt and answer may have together; 0 if that is not known
}

// Options is what a server is made of.
type Options struct {
	Models []Model
	// Invoke calls a model on behalf of a call of its tool, for its principal. The params are those of the inference dialect's invoke.
	Invoke func(ctx context.Context, on *rpc.Call, params json.RawMessage) (*rpc.Reply, error)
	// MayStream reports whether a caller may have answers in parts.
	MayStream func(c *rpc.Call) bool
	// MaxResult bounds an answer that is put together of its parts, in bytes.
	MaxResult int
}

// Server serves the tools. It never changes and may be used by many goroutines at once.
type Server struct {
	Options
	list []byte // result of tools/list
}

var _ rpc.Handler = (*Server)(nil)

// New returns a server.
func New(o Options) *Server {
	s := &Server{Options: o}
	tools := make([][]byte, len(o.Models))
	for i, m := range o.Models {
		tools[i] = m.tool()
	}
	s.list = append(append([]byte(`{"resultType":"complete","ttlMs":3600000,"cacheScope":"private","tools":[`), bytes.Join(tools, []byte{','})...), "]}"...)
	return s
}

// Listed is what the server lists, by which it is told from others.
func (s *Server) Listed() string { return string(s.list) }

// Handle implements [rpc.Handler].
func (s *Server) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	switch c.Method.Name {
	case mcp.ToolsList:
		reply := rpc.Respond(rpc.NewResult(c.Message.ID, s.list))
		reply.Revision = mcp.LatestModern
		return reply, nil
	case mcp.ToolsCall:
		return s.call(ctx, c)
	}
	if c.Message.IsNotification() {
		return rpc.Respond(nil), nil
	}
	return nil, rpc.Errorf(rpc.MethodNotFound, "method %s is not available here", rpc.Excerpt(c.Method.Name))
}

// ModelOf returns the model that a tool asks, by the tool's own name; empty if it asks none.
func ModelOf(own string) string {
	model, ok := strings.CutPrefix(own, prefix)
	if !ok {
		return ""
	}
	return model
}

// call asks the model of a tool. Where the client wants progress the answer comes in parts, if the caller may have it so.
func (s *Server) call(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	model := ModelOf(c.Target.Own)
	var token []byte
	if wanted, ok := c.Message.Meta("progressToken"); ok && s.MayStream(c) {
		token = bytes.Clone(wanted)
	}
	params, err := paramsOf(c.Message, model, token != nil)
	if err != nil {
		return nil, err
	}
	reply, err := s.Invoke(ctx, c, params)
	if err != nil {
		return nil, err
	}
	return newAnswer(reply, c.Message.ID, model, token, s.MaxResult), nil
}

// paramsOf returns the arguments of a call as the params of an invoke. What the model's server may understand beside what the schema names is
// passed on.
func paramsOf(m *rpc.Message, model string, stream bool) (json.RawMessage, error) {
	text, ok := m.Get("arguments")
	if !ok || text[0] != '{' {
		return nil, rpc.Errorf(rpc.InvalidParams, "params.arguments must be an object with a prompt, or with messages")
	}
	o, err := rpc.ReadParams(text, rpc.Infer)
	if err != nil {
		return nil, rpc.Errorf(rpc.InvalidParams, "params.arguments: %s", err.Error())
	}
	out := rpc.AppendString([]byte(`{"model":`), model)
	if stream {
		out = append(out, `,"stream":true`...)
	}
	o.Each(func(name string, value json.RawMessage) bool {
		if name != "model" && name != "stream" { // which the tool decides
			out = append(append(rpc.AppendString(append(out, ','), name), ':'), value...)
		}
		return true
	})
	return append(out, '}'), nil
}
