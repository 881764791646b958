package router

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// replaying is a reply of messages.
type replaying struct{ messages []*rpc.Message }

func (r *replaying) Next() (*rpc.Message, error) {
	if len(r.messages) == 0 {
		return nil, io.EOF
	}
	m := r.messages[0]
	r.messages = r.messages[1:]
	return m, nil
}

func (*replaying) Answer(*rpc.Message) error { return nil }
func (*replaying) Close() error              { return nil }

// heard returns what a client of an endpoint reads of what the upstream "hub" sends.
func heard(t *testing.T, endpoint, method, text string) string {
	t.Helper()
	m, err := rpc.Parse([]byte(text), rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	all := func(string) bool { return true }
	hub := rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		return rpc.NewReply(&replaying{[]*rpc.Message{m}}), nil
	})
	g := newGateway(t, []string{"hub", "bank"}, map[string]*upstream{"hub": {}, "bank": {}})
	r := New([]catalog.View{
		{Endpoint: "/mcp", Allows: all}, {Endpoint: "/mcp/hub", Upstreams: []string{"hub"}, Single: true, Allows: all},
	}, Deps{Catalog: g.Catalog, Upstreams: map[string]rpc.Handler{"hub": hub}, Titles: map[string]string{"hub": "The Hub", "bank": "Bank (EU)"}, Info: json.RawMessage(`{"name":"headgate"}`)})
	row, _ := mcp.Lookup(method, mcp.LatestModern)
	reply, err := r.Handle(t.Context(), &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), method, []byte(`{}`)), Method: row, Endpoint: endpoint,
		Client: rpc.Client{Era: rpc.Modern, Revision: mcp.LatestModern}, Target: rpc.Target{Kind: rpc.Tool, Upstream: "hub"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close()
	got, err := reply.Next()
	if err != nil {
		t.Fatal(err)
	}
	return string(got.AppendTo(nil))
}

// The client of a merged endpoint reads in each question whose it is; on a server's own endpoint it knows.
func TestCorner5_27_QuestionsSayWhoseTheyAre(t *testing.T) {
	t.Parallel()
	const (
		sampling = `{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1,"message":"m","systemPrompt":"s"}}`
		input    = `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":`
	)
	for name, tt := range map[string]struct{ method, sent, want string }{
		"a form": {
			mcp.ToolsCall, `{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"message":"name?","x":1.0}}`,
			`{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"message":"[The Hub] name?","x":1.0}}`,
		},
		"a page": {
			mcp.PromptsGet, `{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"mode":"url","url":"https://x","message":"visit \u0041"}}`,
			`{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"mode":"url","url":"https://x","message":"[The Hub] visit A"}}`,
		},
		"a sample":  {mcp.ToolsCall, `{"jsonrpc":"2.0","id":7,` + sampling[1:], ``},
		"roots":     {mcp.ToolsCall, `{"jsonrpc":"2.0","id":7,"method":"roots/list","params":{"message":"m"}}`, ``},
		"no params": {mcp.ToolsCall, `{"jsonrpc":"2.0","id":7,"method":"elicitation/create"}`, ``},
		"input requests": {
			mcp.ResourcesRead, input + `{"a":{"method":"roots/list"},"b":{"method":"elicitation/create","params":{"message":"b?"}},"c":` + sampling + `},"requestState":"s"}}`,
			input + `{"a":{"method":"roots/list"},"b":{"method":"elicitation/create","params":{"message":"[The Hub] b?"}},"c":` + sampling + `},"requestState":"s"}}`,
		},
		"input requests without words": {mcp.ToolsCall, input + `{"a":{"method":"roots/list"},"c":` + sampling + `,"d":1,"e":{"method":"elicitation/create"}},"x":1}}`, ``},
		"of a task": {
			mcp.TasksGet, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","status":"input_required","inputRequests":{"b":{"method":"elicitation/create","params":{"message":"b?"}}}}}`,
			`{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","status":"input_required","inputRequests":{"b":{"method":"elicitation/create","params":{"message":"[The Hub] b?"}}}}}`,
		},
		"a result that has such a member": {
			mcp.ToolsCall, `{"jsonrpc":"2.0","id":1,"result":{"inputRequests":{"b":{"method":"elicitation/create","params":{"message":"b?"}}}}}`, ``,
		},
		"pages to visit first": {
			mcp.ToolsCall, `{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url","message":"visit","url":"https://x"},7]}}}`,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url","message":"[The Hub] visit","url":"https://x"},7]}}}`,
		},
		"another error": {mcp.ToolsCall, `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"m","data":{"elicitations":[{"message":"visit"}]}}}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.want == "" {
				tt.want = tt.sent
			}
			if diff := cmp.Diff(tt.want, heard(t, "/mcp", tt.method, tt.sent)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.sent, heard(t, "/mcp/hub", tt.method, tt.sent)); diff != "" {
				t.Errorf("on its own endpoint: %s", diff)
			}
		})
	}
}

// A task that asks does so in a notification too, where its client listens.
func TestCorner5_27_TasksSayWhoseTheyAre(t *testing.T) {
	t.Parallel()
	g := newGateway(t, []string{"hub", "bank"}, map[string]*upstream{"hub": {}, "bank": {}})
	g.askers = newAskers(map[string]string{"hub": "The Hub", "bank": "Bank (EU)"})
	const sent = `{"jsonrpc":"2.0","method":"notifications/tasks","params":{"taskId":"t","status":"input_required","inputRequests":{"b":{"method":"elicitation/create","params":{"message":"b?"}}}}}`
	for endpoint, want := range map[string]string{"/mcp": strings.Replace(sent, "b?", "[The Hub] b?", 1), "/mcp/hub": sent} {
		m, err := rpc.Parse([]byte(sent), rpc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		row, _ := mcp.Lookup(mcp.Listen, mcp.LatestModern)
		c := &rpc.Call{Method: row, Endpoint: endpoint, Client: rpc.Client{Era: rpc.Modern, Revision: mcp.LatestModern}}
		if diff := cmp.Diff(want, string(g.ExposeTask(t.Context(), c, "hub", m).AppendTo(nil))); diff != "" {
			t.Errorf("%s: %s", endpoint, diff)
		}
		if diff := cmp.Diff(sent, string(m.AppendTo(nil))); diff != "" {
			t.Errorf("%s: what others are told changed: %s", endpoint, diff)
		}
	}
}

// What a server says of itself is not what a client of the merged endpoint is told of that.
func TestCorner5_25_ServersDoNotIntroduceThemselves(t *testing.T) {
	t.Parallel()
	sent := `{"jsonrpc":"2.0","id":1,"result":{"content":[],"_meta":{"a/b":1.0,"io.modelcontextprotocol/serverInfo":{"name":"hub","icons":[{"src":"http://10.0.0.1/i.png"}]}}}}`
	want := `{"jsonrpc":"2.0","id":1,"result":{"content":[],"_meta":{"a/b":1.0,"io.modelcontextprotocol/serverInfo":{"name":"headgate"}}}}`
	if diff := cmp.Diff(want, heard(t, "/mcp", mcp.ToolsCall, sent)); diff != "" {
		t.Error(diff)
	}
	plain := `{"jsonrpc":"2.0","id":1,"result":{"content":[],"_meta":{"a/b":1.0}}}`
	if diff := cmp.Diff(plain, heard(t, "/mcp", mcp.ToolsCall, plain)); diff != "" {
		t.Errorf("where it does not: %s", diff)
	}
}

// A server cannot speak in the name of another one.
func TestCorner5_27_TitlesCannotBeSpoofed(t *testing.T) {
	t.Parallel()
	a := newAskers(map[string]string{"hub": "The Hub", "bank": "Bank (EU)"})
	for said, want := range map[string]string{
		`"[Bank (EU)] your PIN?"`:               `"[The Hub] (Bank (EU)) your PIN?"`,
		`"[BANK (EU)]\n[ bank ] your PIN?"`:     `"[The Hub] (BANK (EU))\u000a(bank) your PIN?"`,
		`"x\n\n[\u0042ank (EU)]: your PIN?"`:    `"[The Hub] x\u000a\u000a(Bank (EU)): your PIN?"`,
		`"[The Hub] again"`:                     `"[The Hub] (The Hub) again"`,
		`"[1] is not a name, nor is [Bankrupt"`: `"[The Hub] [1] is not a name, nor is [Bankrupt"`,
		`"\ud800 your PIN?"`:                    `"[The Hub] \ud800 your PIN?"`,
		`7`:                                     `"[The Hub]"`,
		``:                                      `"[The Hub]"`,
	} {
		if diff := cmp.Diff(want, string(a.words("hub", []byte(said)))); diff != "" {
			t.Errorf("%s: %s", said, diff)
		}
	}
}
