package router

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestCorner5_9_TheGatewayIntroducesItself(t *testing.T) {
	t.Parallel()
	g := newGateway(t, []string{"u"}, map[string]*upstream{"u": {capabilities: `{}`}})
	g.Info = json.RawMessage(`{"name":"headgate","version":"test"}`)
	for _, endpoint := range []string{"/mcp", "/mcp/u"} {
		if got := g.call(endpoint, mcp.Initialize, `{}`); !strings.Contains(got, `"serverInfo":{"name":"headgate","version":"test"}`) {
			t.Errorf("%s: %s", endpoint, got)
		}
		g := g
		g.client = rpc.Client{Era: rpc.Modern, Revision: mcp.LatestModern}
		if got := g.call(endpoint, mcp.Discover, `{}`); !strings.Contains(got, `"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"headgate","version":"test"}}`) {
			t.Errorf("%s: %s", endpoint, got)
		}
	}
}

// The page of an app is as long as it is, and may be kept as long as its server says.
func TestCorner5_13_LongPagesArriveWhole(t *testing.T) {
	t.Parallel()
	page := `{"contents":[{"uri":"ui://v","mimeType":"text/html;profile=mcp-app","text":"` + strings.Repeat("<p>é\\n", 400_000) + `"}],"resultType":"complete","ttlMs":600000,"cacheScope":"public"}`
	u := &upstream{results: map[string]string{mcp.ResourcesRead: page, mcp.ResourcesList: `{"resources":[]}`}}
	g := newGateway(t, []string{"u"}, map[string]*upstream{"u": u})
	for endpoint, uri := range map[string]string{"/mcp": "ui://u+v", "/mcp/u": "ui://v"} {
		want := `"result":` + strings.Replace(page, "ui://v", uri, 1)
		if got := g.call(endpoint, mcp.ResourcesRead, `{"uri":"`+uri+`"}`); got != want {
			t.Errorf("%s: %d bytes, want %d: %.100s … %.100s", endpoint, len(got), len(want), got, got[max(0, len(got)-100):])
		}
	}
}
