package model

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// tool is a tool of an MCP upstream that takes a prompt. What it reports as progress is its answer as far as it has come.
type tool struct {
	peer
	handler rpc.Handler
	method  *rpc.Method
}

var _ Backend = (*tool)(nil)

func newTool(cfg config.ModelBackend, deps BackendDeps) (Backend, error) {
	if deps.Tool == nil {
		return nil, errors.New("there is nobody to call tools")
	}
	method, _ := mcp.Lookup(mcp.ToolsCall, mcp.LatestModern)
	return &tool{
		peer: peer{
			cfg: cfg, deps: deps, fault: fault{model: deps.Model},
			hop: rpc.Hop{Upstream: deps.Model, Backend: cfg.Upstream + "/" + cfg.Tool, Transport: cfg.Kind},
		},
		handler: deps.Tool, method: method,
	}, nil
}

// Handle implements [Backend].
func (b *tool) Handle(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	v, err := read(c, &b.cfg)
	if err != nil {
		return nil, err
	}
	arguments, err := b.arguments(&v)
	if err != nil {
		return nil, err
	}
	params := writer{text: []byte{'{'}}
	params.string("name", b.cfg.Tool)
	params.add("arguments", arguments)
	if v.stream {
		params.add("_meta", []byte(`{"progressToken":1}`))
	}
	r := b.begin(ctx, c, &v)
	r.tally.note()
	reply, err := b.handler.Handle(r.ctx, b.call(c, append(params.text, '}')))
	if err != nil {
		return nil, r.fail(b.blame(err))
	}
	s := &toolStream{b: b, reply: reply}
	if v.stream {
		return r.stream(s), nil
	}
	result, err := s.whole(&v, &r.tally)
	s.close(err == nil)
	if err != nil {
		return nil, r.fail(err)
	}
	return r.respond(result), nil
}

// call makes the call of the tool. It is the gateway's own, in the name of who invokes the model.
func (b *tool) call(c *rpc.Call, params []byte) *rpc.Call {
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), mcp.ToolsCall, params), Method: b.method, Dialect: rpc.MCP, Received: time.Now(),
		Endpoint: c.Endpoint, Remote: c.Remote, Principal: c.Principal, Client: rpc.Client{Era: rpc.Modern, Revision: mcp.LatestModern},
		Target: rpc.Target{Kind: rpc.Tool, Upstream: b.cfg.Upstream, Exposed: b.cfg.Tool, Canonical: b.cfg.Tool, Own: b.cfg.Tool},
	}
}

// arguments returns what the tool is given: the parameters of the invocation but for the model's name and the form of the
// answer, which a tool has none of.
func (b *tool) arguments(v *invocation) ([]byte, error) {
	prompt := []byte(v.prompt)
	if v.messages != nil {
		var err error
		if prompt, err = b.transcript(v.messages); err != nil {
			return nil, err
		}
	}
	w := writer{text: []byte{'{'}}
	w.put("prompt", prompt)
	v.params.Each(func(name string, value json.RawMessage) bool {
		switch name {
		case "model", "stream", "prompt", "messages", "_meta":
			return true
		}
		w.put(name, value)
		return true
	})
	return append(w.text, '}'), nil
}

// transcript writes a conversation as one text: that of its message where there is one, else each with who said it.
func (b *tool) transcript(messages []byte) ([]byte, error) {
	items, err := rpc.Elements(messages)
	if err != nil {
		return nil, rpc.Errorf(rpc.InvalidParams, "params.messages: %w", err)
	}
	var lines []string
	for _, item := range items {
		o, err := rpc.ReadObject(item)
		if err != nil {
			return nil, rpc.Errorf(rpc.InvalidParams, "params.messages: %w", err)
		}
		text, ok := o.Text("content")
		if !ok {
			return nil, rpc.Errorf(rpc.InvalidParams, "params.messages: model %q takes texts only", b.deps.Model)
		}
		if role, _ := o.Text("role"); len(items) > 1 {
			text = role + ": " + text
		}
		lines = append(lines, text)
	}
	return rpc.AppendString(nil, strings.Join(lines, "\n\n")), nil
}

// blame passes what the upstream is said to have done on as what the backend has done.
func (b *tool) blame(err error) error {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return err
	}
	out := *e
	out.Upstream = b.deps.Model
	if out.Code == rpc.InvalidParams || out.Code == rpc.MethodNotFound {
		return b.fault.failed(answered{e}, "is a tool that cannot be called: %s", e.Message)
	}
	return &out
}

// answered is what a tool has said against a call. It is about that call: the tool is well, and so it is for others.
type answered struct{ error }

// Unwrap returns what was said.
func (a answered) Unwrap() error { return a.error }

// HTTPStatus returns the status of a request that its server understands and cannot serve.
func (answered) HTTPStatus() int { return http.StatusUnprocessableEntity }

// Probe implements [Backend]: whether an upstream is well is found out where it is called.
func (*tool) Probe(context.Context) error { return nil }

// Warm implements [Backend]: a tool has nothing to load.
func (*tool) Warm(context.Context, string) error { return nil }

// Close implements [Backend].
func (*tool) Close() error { return nil }

// toolStream is the answer of a tool.
type toolStream struct {
	b        *tool
	reply    *rpc.Reply
	streamed []byte       // what was passed on, as text
	result   *rpc.Message // once it is there
	output   string
	other    bool // the text is another one than was streamed
	mixed    bool // there is more than text
	done     bool
}

var _ parts = (*toolStream)(nil)

// next implements [parts].
func (s *toolStream) next(t *tally) ([]byte, error) {
	for !s.done {
		m, err := s.pull()
		if err != nil {
			return nil, err
		}
		text, _ := m.Text("message")
		if m.IsResponse() {
			s.done = true
			rest, goesOn := strings.CutPrefix(s.output, string(s.streamed))
			if text = rest; !goesOn {
				s.other, text = true, ""
				t.restart()
				t.piece(len(s.output))
			}
		}
		if text != "" {
			s.streamed = append(s.streamed, text...)
			t.piece(len(text))
			return append(rpc.AppendString([]byte(`{"text":`), text), '}'), nil
		}
	}
	return nil, io.EOF
}

// pull returns the next report of progress, or the response.
func (s *toolStream) pull() (*rpc.Message, error) {
	for {
		m, err := s.reply.Next()
		switch {
		case rpc.IsEnd(err):
			return nil, s.b.fault.broke(io.ErrUnexpectedEOF, "ended without an answer")
		case err != nil:
			return nil, s.b.blame(err)
		case m.IsRequest():
			if err := s.reply.Answer(rpc.NewError(m.ID, &rpc.WireError{Code: -32601, Message: "nobody can be asked here"})); err != nil {
				return nil, s.b.fault.failed(err, "asks something, and nobody is there to answer")
			}
		case m.IsResponse():
			return m, s.read(m)
		case m.Method == mcp.Progress:
			return m, nil
		}
	}
}

// read takes the response of the tool (MCP 2025-11-25, Tools, Tool Result).
func (s *toolStream) read(m *rpc.Message) error {
	if m.Err != nil {
		cause := answered{errors.New(rpc.Excerpt(m.Err.Message))}
		return s.b.fault.failed(cause, "answered error %d", m.Err.Code)
	}
	if kind, _ := m.Text("resultType"); kind == "input_required" {
		return s.b.fault.failed(nil, "asks something, and nobody is there to answer")
	}
	list, _ := m.Get("content")
	items, err := rpc.Elements(list)
	if err != nil {
		return s.b.fault.malformed(err, "a result")
	}
	for _, item := range items {
		o, err := rpc.ReadObject(item)
		if err != nil {
			return s.b.fault.malformed(err, "a result")
		}
		if kind, _ := o.Text("type"); kind == "text" {
			text, _ := o.Text("text")
			s.output += text
		} else {
			s.mixed = true
		}
	}
	if failed, _ := m.Get("isError"); string(failed) == "true" {
		return s.b.fault.failed(answered{errors.New(rpc.Excerpt(s.output))}, "is a tool that failed%s", s.b.fault.quote(s.output))
	}
	s.result = m.Clone()
	return nil
}

// resultMembers are what a result has that is the answer itself.
var resultMembers = []string{"content", "isError", "resultType", "_meta"}

// finish implements [parts].
func (s *toolStream) finish(w *writer) {
	w.add("finish_reason", []byte(`"stop"`))
	if s.other {
		w.string("output", s.output)
	}
	if content, _ := s.result.Get("content"); s.mixed {
		w.add("content", content)
	}
	if o, err := rpc.ReadObject(s.result.Result); err == nil {
		w.rest(o, resultMembers...)
	}
}

// whole makes the result of an answer that was not streamed.
func (s *toolStream) whole(v *invocation, t *tally) ([]byte, error) {
	for s.result == nil {
		if _, err := s.pull(); err != nil {
			return nil, err
		}
	}
	t.piece(len(s.output))
	w := writer{text: []byte{'{'}}
	w.string("model", v.shown)
	w.string("output", s.output)
	w.add("usage", t.text())
	s.finish(&w)
	return append(w.text, '}'), nil
}

// close implements [parts].
func (s *toolStream) close(bool) { _ = s.reply.Close() }
