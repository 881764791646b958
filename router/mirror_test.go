package router

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

const (
	plainTool    = `{"tools":[{"name":"t","inputSchema":{"type":"object","properties":{"a":{"type":"string"}}}}]}`
	mirroredTool = `{"tools":[{"name":"t","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"}}}}]}`
)

// strict is a modern server that wants a header which its tool has come to ask for.
func strict(listed string) *upstream {
	u := &upstream{results: map[string]string{mcp.ToolsList: listed, mcp.ToolsCall: `{"content":[]}`}}
	u.gate = func(c *rpc.Call) error {
		if slices.ContainsFunc(c.Target.ParamHeaders, func(h rpc.ParamHeader) bool { return h.Name == "Mcp-Param-A" }) {
			return nil
		}
		return &rpc.Error{Code: rpc.UpstreamFailed, Message: "refused", Upstream: "u", Cause: mcp.ErrMirrors}
	}
	return u
}

// A tool whose schema has changed since it was listed is listed again, and called once
// more (SEP-2243).
func TestCorner5_15_AStaleSchemaIsReadAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		now   string // what the server lists by now
		calls int
		want  string
	}{
		"it asks for a header": {mirroredTool, 2, `"result":{"content":[]}`},
		"it does not say so":   {plainTool, 2, `upstream_failed: refused`},
		"it has no such tool":  {`{"tools":[]}`, 1, `upstream_failed: refused`},
	} {
		for endpoint, tool := range map[string]string{"/mcp": "u__t", "/mcp/u": "t"} {
			t.Run(name+" on "+endpoint, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					u := strict(plainTool)
					g := newGateway(t, []string{"u"}, map[string]*upstream{"u": u})
					time.Sleep(2 * time.Second)
					u.results[mcp.ToolsList] = tt.now
					got := g.call(endpoint, mcp.ToolsCall, `{"name":"`+tool+`","arguments":{"a":"x"}}`)
					if calls := len(u.got()); !strings.HasPrefix(got, tt.want) || endpoint == "/mcp" && calls != tt.calls {
						t.Errorf("after %d calls: %s", calls, got)
					}
				})
			})
		}
	}
}

func TestCorner5_15_AServerThatAlwaysRefusesIsNotListedForEachCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := strict(plainTool)
		g := newGateway(t, []string{"u"}, map[string]*upstream{"u": u})
		time.Sleep(2 * time.Second)
		before := u.lists.Load()
		for range 20 {
			if got := g.call("/mcp", mcp.ToolsCall, `{"name":"u__t"}`); !strings.HasPrefix(got, "upstream_failed") {
				t.Fatal(got)
			}
		}
		if n := u.lists.Load() - before; n > 4 { // of each kind one
			t.Errorf("listed %d times", n)
		}
		u.gate = func(*rpc.Call) error { return errors.New("something else") }
		if got := g.call("/mcp", mcp.ToolsCall, `{"name":"u__t"}`); got != "something else" {
			t.Error(got)
		}
	})
}

// The client is held to the schema that it was shown.
func TestCorner5_15_HeadersOfArgumentsAreChecked(t *testing.T) {
	t.Parallel()
	u := strict(mirroredTool)
	g := newGateway(t, []string{"u"}, map[string]*upstream{"u": u})
	g.client = rpc.Client{Era: rpc.Modern, Revision: mcp.LatestModern}
	for value, want := range map[string]string{
		"x": `"result":{"content":[]}`, "y": "header_mismatch:", "": "header_mismatch:",
	} {
		g.header = map[string][]string{"Mcp-Param-A": {value}}
		if got := g.call("/mcp", mcp.ToolsCall, `{"name":"u__t","arguments":{"a":"x"}}`); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s", value, got)
		}
	}
	if n := len(u.got()); n != 1 {
		t.Errorf("%d calls got through", n)
	}
}
