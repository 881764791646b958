package catalog

import (
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestCorner5_6_ExposedResponses(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"one", serving([]string{"x://both"}, nil)}, named{"two", serving([]string{"x://both", "x://mine"}, nil)})
	c.Warm(t.Context())
	for _, tt := range []struct{ name, method, in, want string }{
		{"a link", mcp.ToolsCall, `{"content":[{"type":"resource_link","uri":"x://both"}]}`, `{"content":[{"type":"resource_link","uri":"x://two+both"}]}`},
		{"an embedded resource", mcp.ToolsCall, `{"content":[{"type":"resource","resource":{"text":"x://both","uri":"x://both"}}]}`, `{"content":[{"type":"resource","resource":{"text":"x://both","uri":"x://two+both"}}]}`},
		{"a user interface", mcp.ToolsCall, `{"content":[{"type":"resource_link","uri":"ui://v"}]}`, `{"content":[{"type":"resource_link","uri":"ui://two+v"}]}`},
		{"what only it has", mcp.ToolsCall, ` { "content" : [ {"type":"resource_link","uri":"x://mine"} , 1 ] } `, ""},
		{"the bytes between", mcp.ToolsCall, `{"content":[ {"uri":"x://both","type":"text"} ,	{"type":"resource_link","uri":"x:\/\/both","n":1.0} ],"z":1}`, `{"content":[ {"uri":"x://both","type":"text"} ,	{"type":"resource_link","uri":"x://two+both","n":1.0} ],"z":1}`},
		{"text and structures", mcp.ToolsCall, `{"content":[{"type":"text","text":"{\"uri\":\"x://both\"}"}],"structuredContent":{"type":"resource_link","uri":"x://both"}}`, ""},
		{"a prompt", mcp.PromptsGet, `{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"x://both"}}},{"content":{"type":"text"}}]}`, `{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"x://two+both"}}},{"content":{"type":"text"}}]}`},
		{"contents", mcp.ResourcesRead, `{"contents":[{"uri":"x://asked"},{"uri":"x://both"}]}`, `{"contents":[{"uri":"x://used"},{"uri":"x://two+both"}]}`},
		{"a task", mcp.TasksGet, `{"status":"completed","result":{"content":[{"type":"resource_link","uri":"x://both"}]},"uri":"x://both"}`, `{"status":"completed","result":{"content":[{"type":"resource_link","uri":"x://two+both"}]},"uri":"x://both"}`},
		{"a task that failed", mcp.TasksGet, `{"status":"failed","error":{"code":1,"data":{"uri":"x://both"}}}`, `{"status":"failed","error":{"code":1,"data":{"uri":"x://two+both"}}}`},
		{"a task that is none", mcp.TasksGet, `{"result":[{"uri":"x://both"}],"error":"uri"}`, ""},
		{"shapes that are none", mcp.ToolsCall, `{"content":[1,{"type":"resource_link","uri":7},{"type":"resource","resource":"uri"},{"uri":1}],"uri":"uri"}`, ""},
		{"content that is none", mcp.ToolsCall, `{"content":{"uri":"uri"}}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			call := callOf(tt.method, "{}")
			call.Target = rpc.Target{Kind: rpc.Tool, Upstream: "two"}
			if tt.method == mcp.ResourcesRead {
				call.Target = rpc.Target{Kind: rpc.Resource, Upstream: "two", Own: "x://asked", Exposed: "x://used"}
			}
			m, err := rpc.Parse([]byte(`{"jsonrpc":"2.0","id":1,"result":`+tt.in+`}`), rpc.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want == "" {
				want = tt.in
			}
			if got := string(c.Expose(t.Context(), merged(Always), call, m).AppendTo(nil)); got != `{"jsonrpc":"2.0","id":1,"result":`+want+`}` {
				t.Errorf("got %s\nwant …%s", got, want)
			}
		})
	}
}

func TestExposingKeepsEarlierEdits(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"one", serving(nil, nil)}, named{"two", serving(nil, nil)})
	call := callOf(mcp.ToolsCall, "{}")
	call.Target = rpc.Target{Kind: rpc.Tool, Upstream: "two"}
	m := rpc.NewResult(rpc.NumberID(1), []byte(`{"content":[{"uri":"ui://v"}]}`))
	m.Set("resultType", []byte(`"complete"`))
	m.Set("content", []byte(`[{"type":"resource_link","uri":"ui://v"}]`))
	want := `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"resource_link","uri":"ui://two+v"}],"resultType":"complete"}}`
	if got := string(c.Expose(t.Context(), merged(Always), call, m).AppendTo(nil)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestCorner5_6_ErrorsNameTheURIThatTheClientUsed(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"one", serving(nil, nil)}, named{"two", serving(nil, nil)})
	call := callOf(mcp.ResourcesRead, "{}")
	call.Target = rpc.Target{Kind: rpc.Resource, Upstream: "two", Own: "ui://v", Exposed: "ui://two+v"}
	for data, want := range map[string]string{
		`{"uri":"ui://v","x":1.0}`: `{"uri":"ui://two+v","x":1.0}`,
		`{"url":"ui://v"}`:         `{"url":"ui://v"}`,
		`"ui://v"`:                 `"ui://v"`,
	} {
		m := rpc.NewError(rpc.NumberID(1), &rpc.WireError{Code: -32002, Message: "no", Data: []byte(data)})
		if got := c.Expose(t.Context(), merged(Always), call, m); string(got.Err.Data) != want {
			t.Errorf("%s became %s", data, got.Err.Data)
		}
	}
	if got := c.Expose(t.Context(), merged(Always), call, rpc.NewError(rpc.NumberID(1), &rpc.WireError{Code: 1})); got.Err.Code != 1 {
		t.Errorf("an error without data became %+v", got.Err)
	}
}

// MCP Apps: both places of the link to a user interface.
func TestCorner5_13_ToolsNameTheirViewAsTheEndpointDoes(t *testing.T) {
	t.Parallel()
	entry := `{"name":"t","inputSchema":{"type":"object"},"_meta":{"ui":{"resourceUri":"ui://v","visibility":["app"]},"ui/resourceUri":"ui://v","x":1.0}}`
	c := newCatalog(t, named{"u", &lister{pages: []string{`{"tools":[` + entry + `]}`}}})
	text, err := c.List(t.Context(), merged(Always), listCall(""))
	want := `"_meta":{"ui":{"resourceUri":"ui://u+v","visibility":["app"]},"ui/resourceUri":"ui://u+v","x":1.0}`
	if err != nil || !strings.Contains(string(text), want) {
		t.Errorf("%s, %v", text, err)
	}
	v := &View{Endpoint: "/mcp/u", Upstreams: []string{"u"}, Single: true, Allows: all}
	if text, err := c.List(t.Context(), v, listCall("")); err != nil || !strings.Contains(string(text), entry) {
		t.Errorf("of its own endpoint: %s, %v", text, err)
	}
}
