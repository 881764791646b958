package fault

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// listDeed is a misdeed of an upstream about its lists, which are the gateway's own business: clients see them merged
// with those of an upstream that behaves.
type listDeed struct {
	name string
	// page returns the members of a page of tools/list after the tools.
	page func(n int64) string
	// then is what follows a page.
	then func(c *hostileConn)
}

func listDeeds() []listDeed {
	return []listDeed{
		{name: "pages without end", page: func(n int64) string { return fmt.Sprintf(`,"nextCursor":"c%d"`, n) }},
		{name: "the same cursor again", page: func(int64) string { return `,"nextCursor":"again"` }},
		{name: "an empty cursor", page: func(int64) string { return `,"nextCursor":""` }},
		{name: "a cursor that is no text", page: func(int64) string { return `,"nextCursor":{"a":1}` }},
		{name: "list_changed after each list", page: func(int64) string { return "" }, then: func(c *hostileConn) {
			c.onStream(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		}},
	}
}

// mostPages is more than the gateway may ask of an upstream in one test: the pages of one list are bounded, and so is
// how often it is asked anew by one that always has news.
const mostPages = 3000

// TestT25_ByzantineLists lets an upstream never come to the end of its list, or always have another. The lists and calls
// of the others go on.
func TestT25_ByzantineLists(t *testing.T) {
	runs := times(4, 100)
	row := &Row{
		ID: "T25", What: "Byzantine lists: others are listed and called all the while, and the work is bounded",
		Count: fmt.Sprintf("%d misdeeds × %d rounds for each client's era", len(listDeeds()), runs),
	}
	enter(t, row)
	var most int64
	for _, deed := range listDeeds() {
		t.Run(deed.name, func(t *testing.T) { most = max(most, byzantineList(t, deed, runs)) })
	}
	row.Figures = fmt.Sprintf("at most %d pages asked for by one gateway", most)
}

func byzantineList(t *testing.T, deed listDeed, runs int) int64 {
	leakless(t)
	var pages atomic.Int64
	evil := serveHostile(t, &misdeed{}, false)
	evil.handle = func(r *request, c *hostileConn) bool {
		if r.Method != "tools/list" {
			return false
		}
		n := pages.Add(1)
		c.json(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"t%d","inputSchema":{"type":"object"}}]%s}}`, r.ID, n, deed.page(n)))
		if deed.then != nil {
			deed.then(c)
		}
		return true
	}
	fine := serveHostile(t, &misdeed{}, false)
	g := startGateway(t, "upstreams:\n"+upstreamEntry("evil", "legacy", evil.url(), nil)+upstreamEntry("fine", "legacy", fine.url(), nil))
	for _, modern := range []bool{false, true} {
		c := newClient(t, "http://"+g.Addr()+"/mcp", modern, "{}")
		for n := range runs {
			if text := c.list(t); !strings.Contains(text, `"fine__plain"`) || strings.Contains(text, `"error"`) {
				t.Fatalf("the list is %.300s", text)
			}
			nonce := fmt.Sprintf("callerAn%d", n)
			_, all, err := c.call(t.Context(), "fine__plain", fmt.Sprintf(`"arguments":{"nonce":%q}`, nonce), "", nil)
			if err != nil || len(all) != 1 || !strings.Contains(all[0].text, `"ok `+nonce+`"`) {
				t.Fatalf("the other upstream: %v %v", texts(all), err)
			}
		}
	}
	if n := pages.Load(); n > mostPages {
		t.Errorf("the upstream was asked for %d pages", n)
	}
	return pages.Load()
}

// list returns the answer to tools/list.
func (c *client) list(t *testing.T) string {
	t.Helper()
	res, err := c.post(t.Context(), c.request(c.ids.Add(1), "tools/list", "", ""), "tools/list", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	all, err := readMessages(res, nil)
	if err != nil || len(all) != 1 {
		t.Fatalf("tools/list: %v %v", texts(all), err)
	}
	return all[0].text
}
