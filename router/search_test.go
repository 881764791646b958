package router

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

const noResources = `{"resources":[]}`

func TestCorner5_6_UnknownURIsAreSearched(t *testing.T) {
	t.Parallel()
	upstreams := map[string]*upstream{
		"tools": {}, // has no resources and is never asked
		"one": {
			results: map[string]string{mcp.ResourcesList: noResources},
			errors:  map[string]rpc.WireError{mcp.ResourcesRead: {Code: legacyNotFound, Message: "none here"}},
		},
		"two": {
			results: map[string]string{mcp.ResourcesList: noResources, "resources/read x://2": `{"contents":[{"uri":"x://2"}]}`},
			errors:  map[string]rpc.WireError{mcp.ResourcesRead: {Code: legacyNotFound, Message: "none there", Data: []byte(`{"uri":"x://3"}`)}},
		},
	}
	g := newGateway(t, []string{"tools", "one", "two"}, upstreams)
	for range 2 { // the second time it is known
		if got := g.call("/mcp", mcp.ResourcesRead, `{"uri":"x://2"}`); got != `"result":{"contents":[{"uri":"x://2"}]}` {
			t.Errorf("read: %s", got)
		}
	}
	if got := g.call("/mcp", mcp.ResourcesRead, `{"uri":"x://3"}`); got != `"error":{"code":-32002,"message":"none there","data":{"uri":"x://3"}}` {
		t.Errorf("nobody has it: %s", got)
	}
	want := []string{"resources/read x://2", "resources/read x://3"}
	if diff := cmp.Diff(want, upstreams["one"].got()); diff != "" {
		t.Errorf("one (-want +got):\n%s", diff)
	}
	want = []string{"resources/read x://2", "resources/read x://2", "resources/read x://3"}
	if diff := cmp.Diff(want, upstreams["two"].got()); diff != "" {
		t.Errorf("two (-want +got):\n%s", diff)
	}
	if got := upstreams["tools"].got(); len(got) != 0 {
		t.Errorf("one without resources was asked: %q", got)
	}
}

func TestWhatASearchSaysWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	lists := map[string]string{mcp.ResourcesList: noResources}
	none := &upstream{results: lists, errors: map[string]rpc.WireError{mcp.ResourcesRead: {Code: -32602, Message: "none"}}}
	broken := &upstream{results: lists, errors: map[string]rpc.WireError{mcp.ResourcesRead: {Code: -32603, Message: "broken"}}}
	gone := &upstream{results: lists, fail: rpc.Errorf(rpc.UpstreamDown, "gone")}
	for _, tt := range []struct {
		name      string
		upstreams map[string]*upstream
		era       rpc.Era
		want      string
	}{
		{"a failure says more than that nothing is there", map[string]*upstream{"a": none, "b": broken}, rpc.Legacy, `"error":{"code":-32603,"message":"broken"}`},
		{"who cannot be asked may have it", map[string]*upstream{"a": none, "b": gone}, rpc.Legacy, "upstream_down: gone"},
		{"a refusal stands", map[string]*upstream{"a": broken, "b": gone}, rpc.Legacy, `"error":{"code":-32603,"message":"broken"}`},
		{"nobody has resources", map[string]*upstream{"a": {}, "b": {}}, rpc.Legacy, `"error":{"code":-32002,"message":"unknown resource \"x://1\"","data":{"uri":"x://1"}}`},
		{"as modern clients know it", map[string]*upstream{"a": {}, "b": {}}, rpc.Modern, `"error":{"code":-32602,"message":"unknown resource \"x://1\"","data":{"uri":"x://1"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, []string{"a", "b"}, tt.upstreams)
			g.client.Era = tt.era
			if got := g.call("/mcp", mcp.ResourcesRead, `{"uri":"x://1"}`); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestResourcesOfAppsAreReadUnderTheirQualifiedURI(t *testing.T) {
	t.Parallel()
	read := map[string]string{mcp.ResourcesRead: `{"contents":[{"uri":"ui://v","text":"ui://v"}]}`, mcp.ResourcesList: noResources}
	a, b := &upstream{results: read}, &upstream{results: read}
	g := newGateway(t, []string{"a", "b"}, map[string]*upstream{"a": a, "b": b})
	if got := g.call("/mcp", mcp.ResourcesRead, `{"uri":"ui://b+v"}`); got != `"result":{"contents":[{"uri":"ui://b+v","text":"ui://v"}]}` {
		t.Errorf("merged: %s", got)
	}
	if got := g.call("/mcp/b", mcp.ResourcesRead, `{"uri":"ui://v"}`); got != `"result":{"contents":[{"uri":"ui://v","text":"ui://v"}]}` {
		t.Errorf("of its own endpoint: %s", got)
	}
	if diff := cmp.Diff([]string{"resources/read ui://v", "resources/read ui://v"}, b.got()); diff != "" || len(a.got()) != 0 {
		t.Errorf("a got %q, b: %s", a.got(), diff)
	}
}

// Rules about what one upstream has hold for what nobody is known to have too.
func TestASearchAsksOnlyWhomTheCallerMayRead(t *testing.T) {
	t.Parallel()
	lists := map[string]string{mcp.ResourcesList: noResources, mcp.ResourcesRead: `{"contents":[]}`}
	upstreams := map[string]*upstream{"hidden": {results: lists}, "open": {results: lists}}
	g := newGateway(t, []string{"hidden", "open"}, upstreams)
	allowed := "open"
	g.MayRead = func(_ *rpc.Call, upstream, own string) bool { return upstream == allowed && own == "x://1" }
	if got := g.call("/mcp", mcp.ResourcesRead, `{"uri":"x://1"}`); got != `"result":{"contents":[]}` {
		t.Errorf("read: %s", got)
	}
	if allowed = ""; len(upstreams["hidden"].got()) != 0 {
		t.Errorf("asked whom the caller may not read: %q", upstreams["hidden"].got())
	}
	if got := g.call("/mcp", mcp.ResourcesRead, `{"uri":"x://2"}`); got != `"error":{"code":-32002,"message":"unknown resource \"x://2\"","data":{"uri":"x://2"}}` {
		t.Errorf("nobody may be asked: %s", got)
	}
	alone := newGateway(t, []string{"a"}, map[string]*upstream{"a": {results: lists}})
	c := &rpc.Call{Message: rpc.NewRequest(rpc.NumberID(1), mcp.Subscribe, nil), Endpoint: "/mcp", Client: g.client}
	if got := alone.Resource(t.Context(), c, "x://1"); got.Upstream != "a" || got.Canonical != "x://a+1" {
		t.Errorf("whose it must be: %+v", got)
	}
}
