package model_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream/model"
)

// upstreamOf is an MCP upstream that replies to every call with these messages, and notes what it was called with.
type upstreamOf struct {
	messages []string
	err      error
	got      *rpc.Call
	answers  []string
	at       int
	closed   bool
}

func (u *upstreamOf) Handle(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
	u.got = c
	if u.err != nil {
		return nil, u.err
	}
	return rpc.NewReply(u), nil
}

func (u *upstreamOf) Next() (*rpc.Message, error) {
	if u.at == len(u.messages) {
		return nil, io.EOF
	}
	m, err := rpc.Parse([]byte(`{"jsonrpc":"2.0",`+u.messages[u.at]+"}"), rpc.Limits{})
	u.at++
	return m, err
}

func (u *upstreamOf) Answer(m *rpc.Message) error {
	u.answers = append(u.answers, string(m.AppendTo(nil)))
	return nil
}

func (u *upstreamOf) Close() error {
	u.closed = true
	return nil
}

// invokeTool invokes a model that is a tool.
func invokeTool(t *testing.T, u *upstreamOf, params string) answer {
	t.Helper()
	b := backendOf(t, config.ModelBackend{Kind: "mcp", Upstream: "write", Tool: "generate"}, model.BackendDeps{Tool: u})
	c := invoke(t, params)
	c.Principal = rpc.Principal{Org: "acme"}
	got := ask(t.Context(), t, b, c)
	if u.err == nil && u.got != nil && !u.closed {
		t.Error("the reply was left open")
	}
	return got
}

const progress = `"method":"notifications/progress","params":{"progressToken":1,"progress":%d,"message":%q}`

func TestToolAnswers(t *testing.T) {
	t.Parallel()
	said := []string{fmt.Sprintf(progress, 1, "Once "), fmt.Sprintf(progress, 2, "upon"), `"method":"notifications/message","params":{"level":"info"}`}
	result := `"id":1,"result":{"content":[{"type":"text","text":"Once upon"},{"type":"text","text":" a time"}],"structuredContent":{"a":1.0},"_meta":{"x":1}}`
	for name, tt := range map[string]struct {
		messages []string
		stream   string
		chunks   []string
		want     string
	}{
		"at once": {
			append(said, result), "false", nil,
			`{"model":"big","output":"Once upon a time","finish_reason":"stop","structuredContent":{"a":1.0},"usage":{"input_tokens":8,"output_tokens":4,"estimated":true}}`,
		},
		"in parts": {
			append(said, result), "true",
			[]string{`{"text":"Once "}`, `{"text":"upon"}`, `{"text":" a time"}`},
			`{"finish_reason":"stop","structuredContent":{"a":1.0},"usage":{"input_tokens":8,"output_tokens":4,"estimated":true}}`,
		},
		"in one part": {
			[]string{result},
			"true",
			[]string{`{"text":"Once upon a time"}`},
			`{"finish_reason":"stop","structuredContent":{"a":1.0},"usage":{"input_tokens":8,"output_tokens":4,"estimated":true}}`,
		},
		"after reports of another kind": {
			[]string{fmt.Sprintf(progress, 1, "50 %"), fmt.Sprintf(progress, 2, "100 %"), result},
			"true",
			[]string{`{"text":"50 %"}`, `{"text":"100 %"}`},
			`{"finish_reason":"stop","output":"Once upon a time","structuredContent":{"a":1.0},"usage":{"input_tokens":8,"output_tokens":4,"estimated":true}}`,
		},
		"with more than text": {
			[]string{`"id":1,"result":{"content":[{"type":"text","text":"A"},{"type":"image"}]}`},
			"false", nil,
			`{"model":"big","output":"A","finish_reason":"stop","content":[{"type":"text","text":"A"},{"type":"image"}],"usage":{"input_tokens":8,"output_tokens":1,"estimated":true}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := &upstreamOf{messages: tt.messages}
			got := invokeTool(t, u, `{"model":"default","prompt":"a","stream":`+tt.stream+`}`)
			if diff := cmp.Diff(tt.chunks, got.Chunks); diff != "" || got.Err != nil {
				t.Errorf("%v, chunks (-want +got):\n%s", got.Err, diff)
				return
			}
			sameJSON(t, "result", tt.want, got.Result)
		})
	}
}

// The call is the gateway's own in the name of the client's principal, and carries nothing else of the client.
func TestToolCall(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ params, want string }{
		"a prompt":       {`{"model":"default","prompt":"a\u00e9","max_tokens":7,"x":1.0,"_meta":{}}`, `{"prompt":"a\u00e9","max_tokens":7,"x":1.0}`},
		"a message":      {`{"model":"default","messages":[{"role":"user","content":"hi"}]}`, `{"prompt":"hi"}`},
		"a conversation": {`{"model":"default","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]}`, `{"prompt":"user: hi\u000a\u000aassistant: ho"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := &upstreamOf{messages: []string{`"id":1,"result":{"content":[]}`}}
			invokeTool(t, u, tt.params)
			if got, want := string(u.got.Message.Params), `{"name":"generate","arguments":`+tt.want+`}`; got != want {
				t.Errorf("params %s\nwant %s", got, want)
			}
			c := u.got
			if c.Method.Name != "tools/call" || c.Dialect != rpc.MCP || c.Header != nil || c.Record != nil || c.Principal.Org != "acme" ||
				c.Target.Kind != rpc.Tool || c.Target.Upstream != "write" || c.Target.Own != "generate" {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestToolFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		upstream upstreamOf
		params   string
		code     rpc.Code
		says     string
	}{
		"a tool error": {upstreamOf{messages: []string{`"id":1,"result":{"isError":true,"content":[{"type":"text","text":"no luck"}]}`}}, "", rpc.UpstreamFailed, "failed: no luck"},
		"an error":     {upstreamOf{messages: []string{`"id":1,"error":{"code":-32602,"message":"Unknown tool"}`}}, "", rpc.UpstreamFailed, "error -32602"},
		"no content":   {upstreamOf{messages: []string{`"id":1,"result":{}`}}, "", rpc.UpstreamFailed, "cannot be read"},
		"odd content":  {upstreamOf{messages: []string{`"id":1,"result":{"content":[7]}`}}, "", rpc.UpstreamFailed, "cannot be read"},
		"nothing":      {upstreamOf{}, "", rpc.UpstreamFailed, "without an answer"},
		"needs input":  {upstreamOf{messages: []string{`"id":1,"result":{"resultType":"input_required"}`}}, "", rpc.UpstreamFailed, "asks something"},
		"down":         {upstreamOf{err: &rpc.Error{Code: rpc.UpstreamDown, Message: `upstream "write" is down`, Upstream: "write"}}, "", rpc.UpstreamDown, ""},
		"no such tool": {upstreamOf{err: &rpc.Error{Code: rpc.InvalidParams, Message: `unknown tool`, Upstream: "write"}}, "", rpc.UpstreamFailed, "cannot be called: unknown tool"},
		"an image":     {upstreamOf{}, `{"model":"default","messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, rpc.InvalidParams, "takes texts only"},
	} {
		for _, stream := range []string{"false", "true"} {
			t.Run(name+" "+stream, func(t *testing.T) {
				t.Parallel()
				u := upstreamOf{messages: tt.upstream.messages, err: tt.upstream.err}
				params := tt.params
				if params == "" {
					params = `{"model":"default","prompt":"a","stream":` + stream + `}`
				}
				got := invokeTool(t, &u, params)
				if got.Err == nil || got.Err.Code != tt.code || !strings.Contains(got.Err.Message, tt.says) {
					t.Errorf("%v", got.Err)
				}
			})
		}
	}
}

// A tool that asks something is told that nobody is there, and goes on.
func TestToolThatAsks(t *testing.T) {
	t.Parallel()
	u := &upstreamOf{messages: []string{`"id":7,"method":"elicitation/create","params":{}`, `"id":1,"result":{"content":[{"type":"text","text":"A"}]}`}}
	if got := invokeTool(t, u, `{"model":"default","prompt":"a"}`); got.member(t, "output") != `"A"` {
		t.Errorf("%+v", got)
	}
	if len(u.answers) != 1 || !strings.Contains(u.answers[0], `"id":7,"error":{"code":-32601`) {
		t.Errorf("%s", u.answers)
	}
}

func TestNewBackendRefuses(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]config.ModelBackend{
		"a kind that there is not": {Kind: "telepathy", URL: "http://x"},
		"an address of no use":     {Kind: "openai", URL: "ftp://x"},
		"user information":         {Kind: "ollama", URL: "http://a:b@x"},
		"a bad header":             {Kind: "rpc", URL: "ws://x/rpc", Headers: map[string]config.Secret{"a b": "c"}},
		"a header of the framing":  {Kind: "openai", URL: "http://x", Headers: map[string]config.Secret{"Content-Length": "7"}},
		"a tool of nobody":         {Kind: "mcp", Upstream: "a", Tool: "b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := model.NewBackend(cfg, model.BackendDeps{Model: "big"}); err == nil || !strings.Contains(err.Error(), `model "big"`) {
				t.Errorf("%v", err)
			}
		})
	}
}

// clumsy is an upstream whose tool does not like what it is told, and says so.
type clumsy struct {
	says string
	err  error
}

func (u clumsy) Handle(context.Context, *rpc.Call) (*rpc.Reply, error) {
	if u.err != nil {
		return nil, u.err
	}
	return rpc.NewReply(&upstreamOf{messages: []string{u.says}}), nil
}

// What a tool says of one client's call takes the model from no other one.
func TestAToolThatAnswersIsWell(t *testing.T) {
	t.Parallel()
	for name, u := range map[string]clumsy{
		"a tool error": {says: `"id":1,"result":{"isError":true,"content":[{"type":"text","text":"no such option"}]}`},
		"an error":     {says: `"id":1,"error":{"code":-32602,"message":"no such option"}`},
		"params":       {err: rpc.Errorf(rpc.InvalidParams, "no such option")},
	} {
		for _, stream := range []string{"true", "false"} {
			t.Run(name+" "+stream, func(t *testing.T) {
				t.Parallel()
				b := config.ModelBackend{Kind: "mcp", Upstream: "write", Tool: "generate"}
				cfg := modelOf(newTroupe(1, nil), 0, func(m *config.Model) { m.Retry.Attempts = 1 })
				cfg.Backends = []config.ModelBackend{b}
				p := poolOf(t, cfg, func(b config.ModelBackend) (model.Backend, error) {
					return backendOf(t, b, model.BackendDeps{Tool: u}), nil
				})
				defer p.Close() //nolint:errcheck // nothing could fail
				for range 20 {
					if _, err := finished(t.Context(), p, invoke(t, `{"model":"big","prompt":"x","odd":1,"stream":`+stream+`}`)); rpc.CodeOf(err) != rpc.UpstreamFailed {
						t.Fatal(err)
					}
				}
				if s := p.Backends()[0].State; s != "up" {
					t.Errorf("the backend is %s", s)
				}
			})
		}
	}
}
