package sampling_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/headgate/headgate/router/sampling"
	"github.com/headgate/headgate/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a legacy upstream that asks what a test wants before it answers with all that it was told.
type server struct {
	asks    []*rpc.Message
	answers chan *rpc.Message
	got     []string
	waits   int // answers that are still due
	closed  chan struct{}
	once    sync.Once
}

func newServer(asks ...string) *server {
	s := &server{answers: make(chan *rpc.Message, len(asks)), closed: make(chan struct{})}
	for i, params := range asks {
		s.asks = append(s.asks, rpc.NewRequest(rpc.NumberID(uint64(i+1)), "sampling/createMessage", []byte(params)))
	}
	return s
}

func (s *server) Handle(context.Context, *rpc.Call) (*rpc.Reply, error) { return rpc.NewReply(s), nil }

func (s *server) Next() (*rpc.Message, error) {
	if len(s.asks) > 0 {
		m := s.asks[0]
		s.asks = s.asks[1:]
		if m.IsRequest() {
			s.waits++
		}
		return m, nil
	}
	for s.waits > 0 {
		select {
		case a := <-s.answers:
			s.got = append(s.got, textOf(a))
			s.waits--
		case <-s.closed:
			return nil, io.EOF
		}
	}
	if s.got == nil {
		return nil, io.EOF
	}
	out, err := json.Marshal(s.got)
	s.got = nil
	return rpc.NewResult(rpc.NumberID(99), append(append([]byte(`{"said":`), out...), '}')), err
}

func (s *server) Answer(m *rpc.Message) error { s.answers <- m.Clone(); return nil }
func (s *server) Close() error                { s.once.Do(func() { close(s.closed) }); return nil }

func textOf(m *rpc.Message) string {
	if m.Err != nil {
		return m.Err.Message
	}
	return string(m.Result)
}

// model is the gateway's model: it says what it was asked, or fails.
type model struct {
	mu    sync.Mutex
	asked []string
	fail  error
	says  string // its result; made of nothing else if set
	hangs bool
}

func (d *model) invoke(ctx context.Context, _ *rpc.Call, params json.RawMessage) (*rpc.Reply, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, string(params))
	if d.hangs {
		return rpc.NewReply(hanging{ctx}), nil
	}
	if d.fail != nil {
		return nil, d.fail
	}
	says := d.says
	if says == "" {
		says = `{"model":"small-1b","output":"fine","finish_reason":"stop","usage":{"input_tokens":1,"output_tokens":1}}`
	}
	return rpc.Respond(rpc.NewResult(rpc.NumberID(1), []byte(says))), nil
}

type hanging struct{ ctx context.Context }

func (h hanging) Next() (*rpc.Message, error) { <-h.ctx.Done(); return nil, context.Cause(h.ctx) }
func (hanging) Answer(*rpc.Message) error     { return rpc.ErrNoQuestion }
func (hanging) Close() error                  { return nil }

func sampler(t *testing.T, d *model) *sampling.Sampler {
	t.Helper()
	return sampling.New(sampling.Options{
		Model: "default", MaxTokens: 100, Rounds: 3, Invoke: d.invoke, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Choose: func(hint string) string {
			if strings.Contains("small-1b", hint) {
				return "small-1b"
			}
			return ""
		},
	})
}

func call(capabilities string) *rpc.Call {
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(99), "tools/call", []byte(`{"name":"x"}`)), Method: &rpc.Method{Name: "tools/call"},
		Client: rpc.Client{Capabilities: json.RawMessage(capabilities)}, Record: &rpc.Record{}, Received: time.Now(),
	}
}

// read pulls a reply to its end.
func read(t *testing.T, h rpc.Handler, c *rpc.Call) (out []*rpc.Message) {
	t.Helper()
	reply, err := h.Handle(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Close() }()
	for {
		m, err := reply.Next()
		if rpc.IsEnd(err) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m.Clone())
	}
}

func TestQuestionsForAModel(t *testing.T) {
	t.Parallel()
	const hello = `"messages":[{"role":"user","content":{"type":"text","text":"hello"}}]`
	for name, test := range map[string]struct {
		params string
		model  *model // nil says that all is fine
		invoke string // the params of the call of the model; empty if there is none
		answer string
	}{
		"plain": {
			params: `{` + hello + `,"maxTokens":9}`,
			invoke: `{"model":"default","messages":[{"role":"user","content":"hello"}],"max_tokens":9}`,
			answer: `{"role":"assistant","content":{"type":"text","text":"fine"},"model":"small-1b","stopReason":"endTurn"}`,
		},
		"everything": {
			params: `{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"assistant","content":{"type":"text","text":"\"q\""}}],
				"systemPrompt":"be brief","maxTokens":1e6,"temperature":0.25,"stopSequences":["\n"],"includeContext":"none","modelPreferences":{"hints":[{"name":"gpt"},{"name":"small"}],"costPriority":1}}`,
			invoke: `{"model":"small-1b","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"a\u000ab"},{"role":"assistant","content":"\"q\""}],"max_tokens":100,"temperature":0.25,"stop":["\n"]}`,
			answer: `{"role":"assistant","content":{"type":"text","text":"fine"},"model":"small-1b","stopReason":"endTurn"}`,
		},
		"cut off": {
			params: `{` + hello + `}`, model: &model{says: `{"model":"m","output":"","finish_reason":"length"}`},
			invoke: `{"model":"default","messages":[{"role":"user","content":"hello"}],"max_tokens":100}`,
			answer: `{"role":"assistant","content":{"type":"text","text":""},"model":"m","stopReason":"maxTokens"}`,
		},
		"image": {
			params: `{"messages":[{"role":"user","content":{"type":"image","data":"AA==","mimeType":"image/png"}}],"maxTokens":9}`,
			answer: `sampling: messages[0].content: only text can be sampled here, not "image"`,
		},
		"tools":        {params: `{` + hello + `,"tools":[]}`, answer: `sampling: tools are not offered: the gateway declares sampling without them`},
		"no messages":  {params: `{"messages":[],"maxTokens":9}`, answer: `sampling: messages must be a list of at least one`},
		"system role":  {params: `{"messages":[{"role":"system","content":{"type":"text","text":"x"}}]}`, answer: `sampling: messages[0].role must be user or assistant`},
		"no tokens":    {params: `{` + hello + `,"maxTokens":0}`, answer: `sampling: maxTokens must be a positive number`},
		"bad hints":    {params: `{` + hello + `,"modelPreferences":{"hints":[7,{},{"name":""}]}}`, invoke: `{"model":"default","messages":[{"role":"user","content":"hello"}],"max_tokens":100}`, answer: `{"role":"assistant","content":{"type":"text","text":"fine"},"model":"small-1b","stopReason":"endTurn"}`},
		"no budget":    {params: `{` + hello + `}`, model: &model{fail: rpc.Errorf(rpc.QuotaExhausted, "the budget is used up")}, invoke: `{"model":"default","messages":[{"role":"user","content":"hello"}],"max_tokens":100}`, answer: `sampling: the budget is used up`},
		"inner secret": {params: `{` + hello + `}`, model: &model{fail: errors.New("dial 10.0.0.1")}, invoke: `{"model":"default","messages":[{"role":"user","content":"hello"}],"max_tokens":100}`, answer: `sampling: internal error`},
		"no text":      {params: `{` + hello + `}`, model: &model{says: `{"output":{"a":1}}`}, invoke: `{"model":"default","messages":[{"role":"user","content":"hello"}],"max_tokens":100}`, answer: `sampling: the model said something else than text`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := test.model
			if d == nil {
				d = &model{}
			}
			got := read(t, sampler(t, d).Before(newServer(test.params)), call(`{}`))
			var said struct{ Said []string }
			if len(got) != 1 || json.Unmarshal(got[0].Result, &said) != nil {
				t.Fatalf("%d messages: %s", len(got), textOf(got[0]))
			}
			if diff := cmp.Diff([]string{test.answer}, said.Said); diff != "" {
				t.Errorf("the server was told (-want +got):\n%s", diff)
			}
			if asked := strings.Join(d.asked, "\n"); asked != test.invoke {
				t.Errorf("the model was asked %s\nwant %s", asked, test.invoke)
			}
		})
	}
}

func TestClientThatCanSampleIsAsked(t *testing.T) {
	t.Parallel()
	d := &model{}
	reply, err := sampler(t, d).Before(newServer(`{}`)).Handle(t.Context(), call(`{"sampling":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := reply.Next(); err != nil || m.Method != "sampling/createMessage" || len(d.asked) != 0 {
		t.Errorf("%v %v, the model was asked %v", m, err, d.asked)
	}
	_ = reply.Close()
}

func TestRoundsAreBounded(t *testing.T) {
	t.Parallel()
	const q = `{"messages":[{"role":"user","content":{"type":"text","text":"x"}}]}`
	d := &model{}
	got := read(t, sampler(t, d).Before(newServer(q, q, q, q, q)), call(`{}`))
	if n := strings.Count(string(got[0].Result), "too often"); n != 2 || len(d.asked) != 3 {
		t.Errorf("%d answered, %d refused: %s", len(d.asked), n, got[0].Result)
	}
}

// A model can be a tool of a server that asks for a model.
func TestNoModelIsAskedForAModel(t *testing.T) {
	t.Parallel()
	const q = `{"messages":[{"role":"user","content":{"type":"text","text":"x"}}]}`
	inner := newServer(q)
	var s *sampling.Sampler
	s = sampling.New(sampling.Options{
		Model: "m", MaxTokens: 1, Rounds: 1, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Choose: func(string) string { return "" },
		Invoke: func(ctx context.Context, _ *rpc.Call, _ json.RawMessage) (*rpc.Reply, error) {
			reply, err := s.Before(inner).Handle(ctx, call(`{}`))
			if err != nil {
				return nil, err
			}
			defer func() { _ = reply.Close() }()
			m, err := reply.Next()
			if err != nil {
				return nil, err
			}
			return rpc.Respond(rpc.NewResult(m.ID, append(rpc.AppendString([]byte(`{"output":`), string(m.Result)), '}'))), nil
		},
	})
	got := read(t, s.Before(newServer(q)), call(`{}`))
	if !strings.Contains(string(got[0].Result), "is not given any itself") {
		t.Errorf("%s", got[0].Result)
	}
}

// A server takes its question back, and the call ends while the model works: neither waits for the model.
func TestWorkEndsWithItsQuestion(t *testing.T) {
	t.Parallel()
	const q = `{"messages":[{"role":"user","content":{"type":"text","text":"x"}}]}`
	s := newServer(q)
	s.asks = append(s.asks, rpc.NewNotification("notifications/cancelled", []byte(`{"requestId":1}`)),
		rpc.NewNotification("notifications/progress", []byte(`{"progressToken":1,"progress":1}`)), rpc.NewNotification("notifications/cancelled", []byte(`{"requestId":7}`)))
	d := &model{hangs: true}
	reply, err := sampler(t, d).Before(s).Handle(t.Context(), call(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"notifications/progress", "notifications/cancelled"} {
		if m, err := reply.Next(); err != nil || m.Method != want {
			t.Fatalf("%v %v, want %s", m, err, want)
		}
	}
	_ = reply.Close() // goleak sees to the rest
	if len(s.answers) != 0 {
		t.Error("a question that was taken back is answered")
	}
}

// panics is a reply that panics when it is pulled.
type panics struct{ hanging }

func (panics) Next() (*rpc.Message, error) { panic("boom") }

// Nobody else recovers from what happens while a model is asked: it would be the end of the process.
func TestAPanicEndsNothingButTheAnswer(t *testing.T) {
	t.Parallel()
	s := sampling.New(sampling.Options{
		Model: "m", MaxTokens: 1, Rounds: 1, Log: slog.New(slog.DiscardHandler), Choose: func(string) string { return "" },
		Invoke: func(context.Context, *rpc.Call, json.RawMessage) (*rpc.Reply, error) {
			return rpc.NewReply(panics{}), nil
		},
	})
	got := read(t, s.Before(newServer(`{"messages":[{"role":"user","content":{"type":"text","text":"x"}}]}`)), call(`{}`))
	if !strings.Contains(string(got[0].Result), "sampling: internal error") {
		t.Errorf("%s", got[0].Result)
	}
}
