package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// keeping is what a modern client is told of keeping a list.
type keeping struct {
	TTL    int64  `json:"ttlMs"`
	Scope  string `json:"cacheScope"`
	Cursor string `json:"nextCursor"`
}

func keepingOf(t *testing.T, c *Catalog, params string) keeping {
	t.Helper()
	call := listCall(params)
	call.Client = rpc.Client{Era: rpc.Modern, Revision: mcp.LatestModern}
	text, err := c.List(t.Context(), merged(Always), call)
	if err != nil {
		t.Fatal(err)
	}
	var k keeping
	if err := json.Unmarshal(text, &k); err != nil {
		t.Fatal(err)
	}
	return k
}

// page writes a page of tools with the hints of a modern server.
func page(hints string, names ...string) string {
	return strings.TrimSuffix(tools(names...), "}") + "," + hints + "}"
}

func TestCorner5_3_APartialListIsNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const hour = `"ttlMs":3600000,"cacheScope":"public"`
		well := &lister{pages: []string{page(hour, "a")}}
		ill := &lister{pages: []string{page(hour, "b")}, fail: errors.New("down")}
		c := newCatalog(t, named{"well", well}, named{"ill", ill})
		c.Warm(t.Context())
		if got, want := keepingOf(t, c, ""), (keeping{TTL: 1000, Scope: "private"}); got != want {
			t.Errorf("without one that never answered: %+v, want %+v", got, want)
		}
		ill.set(func(l *lister) { l.fail = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, want := keepingOf(t, c, ""), (keeping{TTL: 3_600_000, Scope: "public"}); got != want {
			t.Errorf("whole: %+v, want %+v", got, want)
		}
		ill.set(func(l *lister) { l.fail = errors.New("down again") })
		c.Notice("ill", mcp.ToolsChanged)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := keepingOf(t, c, ""); got.TTL != 1000 {
			t.Errorf("with what one had that is down now: %+v", got)
		}
	})
}

func TestCorner5_3_AllPagesHaveOneScope(t *testing.T) {
	t.Parallel()
	var first, second []string
	for i := range 800 {
		first, second = append(first, fmt.Sprint("a", i)), append(second, fmt.Sprint("b", i))
	}
	up := &lister{pages: []string{
		page(`"ttlMs":5000,"cacheScope":"public","nextCursor":"page-1"`, first...),
		page(`"ttlMs":9000,"cacheScope":"private"`, second...),
	}}
	c := newCatalog(t, named{"u", up})
	one := keepingOf(t, c, "")
	two := keepingOf(t, c, fmt.Sprintf(`{"cursor":%q}`, one.Cursor))
	if one.Scope != "private" || two.Scope != "private" || one.TTL != 5000 || two.TTL != 5000 {
		t.Errorf("%+v and %+v", one, two)
	}
}

func TestCorner5_3_CursorsEndWithTheirListAndTheirTime(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tools int
		after time.Duration
		taken bool
	}{
		"an equal list":   {1500, time.Minute, true},
		"a changed list":  {1501, time.Minute, false},
		"after its time":  {1500, cursorLife + time.Second, false},
		"a list that was": {10, time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				up := many(1500)
				c := newCatalog(t, named{"u", up})
				params := fmt.Sprintf(`{"cursor":%q}`, firstCursor(t, c, listCall("")))
				up.set(func(l *lister) { l.pages = many(tt.tools).pages })
				c.Notice("u", mcp.ToolsChanged)
				time.Sleep(tt.after)
				synctest.Wait()
				_, err := c.List(t.Context(), merged(Always), listCall(params))
				if taken := err == nil; taken != tt.taken || !taken && rpc.AsError(err).Code != rpc.InvalidParams {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestCorner5_3_HostileListsAreCut(t *testing.T) {
	t.Parallel()
	large := make([]string, 40)
	for i := range large {
		large[i] = strings.Repeat("x", 1<<19) + fmt.Sprint(i)
	}
	for name, tt := range map[string]struct {
		up     *lister
		tools  int
		within int // calls
	}{
		"too many":              {many(toolList.traits().limit + 10), toolList.traits().limit, 1},
		"too large":             {listing(large...), 31, 1},
		"cursors that go round": {&lister{pages: []string{page(`"nextCursor":"page-1"`, "a"), page(`"nextCursor":"page-2"`, "b"), page(`"nextCursor":"page-1"`, "c")}}, 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCatalog(t, named{"u", tt.up})
			c.Warm(t.Context())
			if got := c.Status("u").Tools; got != tt.tools || len(tt.up.clients) > tt.within {
				t.Errorf("%d tools after %d calls, want %d after at most %d", got, len(tt.up.clients), tt.tools, tt.within)
			}
		})
	}
}
