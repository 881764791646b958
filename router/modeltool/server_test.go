package modeltool_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/router/modeltool"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/rpc/mcp"
)

// model is a model that says what a test wants.
type model struct {
	says   []*rpc.Message
	fails  error
	params string
	closed bool
}

func (d *model) invoke(_ context.Context, _ *rpc.Call, params json.RawMessage) (*rpc.Reply, error) {
	d.params = string(params)
	if d.fails != nil && len(d.says) == 0 {
		return nil, d.fails
	}
	return rpc.NewReply(d), nil
}

func (d *model) Next() (*rpc.Message, error) {
	if len(d.says) == 0 {
		return nil, d.fails
	}
	m := d.says[0]
	d.says = d.says[1:]
	return m, nil
}
func (*model) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (d *model) Close() error            { d.closed = true; return nil }

func server(d *model, stream bool) *modeltool.Server {
	return modeltool.New(modeltool.Options{
		Models: []modeltool.Model{{Name: "llama-70b", Context: 4096}, {Name: "acme/odd:1"}}, Invoke: d.invoke, MaxResult: 1 << 20,
		MayStream: func(*rpc.Call) bool { return stream },
	})
}

func call(method, own, params string) *rpc.Call {
	row, ok := mcp.Lookup(method, mcp.LatestModern)
	if !ok {
		row = mcp.Foreign(method)
	}
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(7), method, []byte(params)), Method: row, Dialect: rpc.MCP,
		Target: rpc.Target{Kind: rpc.Tool, Own: own},
	}
}

// read pulls a reply to its end and writes each message as one line.
func read(t *testing.T, h rpc.Handler, c *rpc.Call) (out []string) {
	t.Helper()
	reply, err := h.Handle(t.Context(), c)
	if err != nil {
		return []string{err.Error()}
	}
	defer func() { _ = reply.Close() }()
	for {
		m, err := reply.Next()
		if rpc.IsEnd(err) {
			return out
		}
		if err != nil {
			return append(out, err.Error())
		}
		out = append(out, string(m.AppendTo(nil)))
	}
}

func TestToolsAreListed(t *testing.T) {
	t.Parallel()
	s := server(&model{}, true)
	got := read(t, s, call(mcp.ToolsList, "", "{}"))
	var answer struct {
		Result struct {
			ResultType string
			Tools      []struct {
				Name, Title, Description  string
				InputSchema, OutputSchema map[string]any
			}
		}
	}
	if len(got) != 1 || json.Unmarshal([]byte(got[0]), &answer) != nil || answer.Result.ResultType != "complete" {
		t.Fatal(got)
	}
	var names []string
	for _, tool := range answer.Result.Tools {
		names = append(names, tool.Name+": "+tool.Title+": "+tool.Description)
		if tool.InputSchema["type"] != "object" || tool.OutputSchema["type"] != "object" {
			t.Errorf("%s has the schemas %v, %v", tool.Name, tool.InputSchema, tool.OutputSchema)
		}
	}
	want := []string{
		"invoke_llama-70b: Ask llama-70b: Asks the language model llama-70b and returns what it says. Prompt and answer may have 4096 tokens together.",
		"invoke_acme/odd:1: Ask acme/odd:1: Asks the language model acme/odd:1 and returns what it says.",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
	for _, tool := range []string{"invoke_llama-70b", "invoke_acme/odd:1", "x"} {
		if got, want := modeltool.ModelOf(tool), strings.TrimPrefix(strings.TrimPrefix(tool, "x"), "invoke_"); got != want {
			t.Errorf("%s asks %q, want %q", tool, got, want)
		}
	}
	if got := read(t, s, call("prompts/list", "", "{}")); !strings.HasPrefix(got[0], "method_not_found") {
		t.Errorf("another method is answered with %v", got)
	}
}

func TestCallsOfTools(t *testing.T) {
	t.Parallel()
	id := rpc.NumberID(1)
	whole := rpc.NewResult(id, []byte(`{"model":"llama-70b","output":"hello","finish_reason":"stop","usage":{"input_tokens":2,"output_tokens":1},"extra":1}`))
	chunks := []*rpc.Message{
		infer.TextChunk("hel"), infer.NewChunk([]byte(`{"text":"no","index":1}`)), infer.NewChunk([]byte(`{"tool_calls":[]}`)), infer.TextChunk("lo"),
		rpc.NewResult(id, []byte(`{"usage":{"input_tokens":2,"output_tokens":2},"finish_reason":"length"}`)),
	}
	const progress = `,"_meta":{"progressToken":"p\"1"}`
	for name, test := range map[string]struct {
		params string
		silent bool // the caller may not have it in parts
		model  model
		asked  string
		want   []string
	}{
		"whole": {
			params: `{"arguments":{"prompt":"hi","max_tokens":5,"top_k":7}}`, model: model{says: []*rpc.Message{whole}},
			asked: `{"model":"llama-70b","prompt":"hi","max_tokens":5,"top_k":7}`,
			want:  []string{`{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[{"type":"text","text":"hello"}],"structuredContent":{"model":"llama-70b","output":"hello","finish_reason":"stop","usage":{"input_tokens":2,"output_tokens":1},"extra":1}}}`},
		},
		"in parts": {
			params: `{"arguments":{"messages":[{"role":"user","content":"hi"}]}` + progress + `}`, model: model{says: chunks},
			asked: `{"model":"llama-70b","stream":true,"messages":[{"role":"user","content":"hi"}]}`,
			want: []string{
				`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p\"1","progress":1,"message":"hel"}}`,
				`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p\"1","progress":2,"message":"lo"}}`,
				`{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[{"type":"text","text":"hello"}],"structuredContent":{"model":"llama-70b","output":"hello","tool_calls":[],"choices":[{"index":1,"output":"no"}],"usage":{"input_tokens":2,"output_tokens":2},"finish_reason":"length"}}}`,
			},
		},
		"not allowed in parts": {
			params: `{"arguments":{"prompt":"hi"}` + progress + `}`, silent: true, model: model{says: []*rpc.Message{whole}},
			asked: `{"model":"llama-70b","prompt":"hi"}`,
			want:  []string{`{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[{"type":"text","text":"hello"}],"structuredContent":{"model":"llama-70b","output":"hello","finish_reason":"stop","usage":{"input_tokens":2,"output_tokens":1},"extra":1}}}`},
		},
		"another model": {
			params: `{"arguments":{"prompt":"hi","model":"secret","stream":true}}`, model: model{fails: rpc.Errorf(rpc.QuotaExhausted, "the budget is used up")},
			asked: `{"model":"llama-70b","prompt":"hi"}`, want: []string{"quota_exhausted: the budget is used up"},
		},
		"broke off": {
			params: `{"arguments":{"prompt":"hi"}` + progress + `}`, model: model{says: []*rpc.Message{infer.TextChunk("h")}, fails: rpc.Errorf(rpc.UpstreamDown, "broke off")},
			asked: `{"model":"llama-70b","stream":true,"prompt":"hi"}`,
			want:  []string{`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p\"1","progress":1,"message":"h"}}`, "upstream_down: broke off"},
		},
		"no text": {
			params: `{"arguments":{"prompt":"hi"}}`, model: model{says: []*rpc.Message{rpc.NewResult(id, []byte(`{"output":{"a":1}}`))}},
			asked: `{"model":"llama-70b","prompt":"hi"}`,
			want:  []string{`{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[{"type":"text","text":"{\"output\":{\"a\":1}}"}],"structuredContent":{"output":{"a":1}}}}`},
		},
		"no arguments":   {params: `{}`, want: []string{"invalid_params: params.arguments must be an object with a prompt, or with messages"}},
		"list":           {params: `{"arguments":[]}`, want: []string{"invalid_params: params.arguments must be an object with a prompt, or with messages"}},
		"said two times": {params: `{"arguments":{"prompt":"a","prompt":"b"}}`, want: []string{`invalid_params: params.arguments: duplicate member "prompt" at byte 14`}},
		"its own model":  {params: `{"arguments":{"prompt":"a","Model":"secret"}}`, want: []string{`invalid_params: params.arguments: member "Model" is model in another case at byte 14`}},
		"a stream":       {params: `{"arguments":{"prompt":"a","\u017ftream":true}}`, want: []string{`invalid_params: params.arguments: member "ſtream" is stream in another case at byte 14`}},
		"more answers":   {params: `{"arguments":{"prompt":"a","max_tokens":1,"N":9}}`, want: []string{`invalid_params: params.arguments: member "N" is n in another case at byte 29`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := read(t, server(&test.model, !test.silent), call(mcp.ToolsCall, "invoke_llama-70b", test.params))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			if test.model.params != test.asked {
				t.Errorf("the model was asked %s, want %s", test.model.params, test.asked)
			}
			if len(test.want) > 0 && strings.HasPrefix(test.want[0], "{") && !test.model.closed {
				t.Error("the model was not told that nobody listens any more")
			}
		})
	}
}
