package catalog

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc/mcp"
)

// watched returns what a catalogue tells views of, in the order of the views, one character for each.
func watched(c *Catalog, views ...*View) *[]string {
	told := &[]string{}
	c.OnChange(func(ch Change) {
		line := strings.TrimSuffix(strings.TrimPrefix(ch.Method, "notifications/"), "/list_changed") + " "
		for _, v := range views {
			if ch.Concerns(v) {
				line += "x"
			} else {
				line += "-"
			}
		}
		*told = append(*told, line)
	})
	return told
}

func quietly() {
	time.Sleep(2 * time.Second)
	synctest.Wait()
}

// Upstreams that change together are told of together, and clients that list again cost one drain each at most.
func TestCorner5_21_ChangesOfSeveralUpstreamsAreToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ups := []named{{"a", listing("x")}, {"b", listing("x")}, {"c", listing("x")}}
		c := newCatalog(t, ups...)
		told := watched(c, merged(Always), &View{Upstreams: []string{"b"}, Allows: all})
		c.Warm(t.Context())
		for _, up := range ups[:2] {
			up.set(func(l *lister) { l.pages = []string{tools("x", "y")} })
			c.Notice(up.name, mcp.ToolsChanged)
			time.Sleep(10 * time.Millisecond)
		}
		quietly()
		for range 100 {
			names(t, c, merged(Always), listCall(""))
		}
		if diff := cmp.Diff([]string{"tools xx"}, *told); diff != "" {
			t.Error(diff)
		}
		if n := ups[0].asked() + ups[1].asked() + ups[2].asked(); n != 5 {
			t.Errorf("%d drains, want one for each upstream and one more for those that changed", n)
		}
	})
}

// An endpoint that shows nothing of what changed is told nothing.
func TestCorner5_21_ChangesThatAViewDoesNotShow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := listing("x", "hidden")
		c := newCatalog(t, named{"u", up}, named{"v", listing("z")})
		some := &View{Allows: func(name string) bool { return !strings.Contains(name, "hidden") }}
		byCanonical := &View{Allows: func(name string) bool { return name != "u__hidden" }}
		other := &View{Upstreams: []string{"v"}, Allows: all}
		told := watched(c, merged(Always), some, byCanonical, other)
		c.Warm(t.Context())
		change := func(want, page string) {
			t.Helper()
			*told = nil
			up.set(func(l *lister) { l.pages = []string{page} })
			c.Notice("u", mcp.ToolsChanged)
			quietly()
			if diff := cmp.Diff([]string{want}, *told); diff != "" {
				t.Error(diff)
			}
		}
		change("tools x---", tools("x"))
		change("tools x---", tools("x", "hidden"))
		change("tools x---", strings.Replace(tools("x", "hidden"), `"hidden"`, `"hidden","title":"H"`, 1))
		change("tools xxx-", strings.Replace(tools("x"), `"x"`, `"x","title":"X"`, 1))
		change("tools xxx-", tools("hidden"))
		change("tools xxx-", tools("hidden", "x"))
		change("tools xxx-", tools("x", "hidden")) // another order
	})
}

// What clients saw no capability for cannot have changed, whatever a server says.
func TestCorner5_21_NothingIsToldOfListsThatAServerDoesNotHave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := listing("x")
		up.desc.Capabilities = []byte(`{"tools":{"listChanged":true}}`)
		c := newCatalog(t, named{"u", up})
		told := watched(c, merged(Always))
		c.Warm(t.Context())
		for _, method := range []string{mcp.PromptsChanged, mcp.ResourcesChanged, mcp.ToolsChanged} {
			c.Notice("u", method)
		}
		quietly()
		if diff := cmp.Diff([]string{"tools x"}, *told); diff != "" {
			t.Error(diff)
		}
	})
}
