package catalog

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// sourceOf is an upstream as a configuration has it, which key stands for.
func sourceOf(u named, key string) Source {
	return Source{Name: u.name, Key: key, Handler: u.lister, Describe: u.describe, Allows: all}
}

// adopted puts sources in the place of others and returns a view of them.
func adopted(c *Catalog, version uint64, sources ...Source) *View {
	set := c.Prepare(sources)
	c.Adopt(set)
	v := merged(Always)
	v.Version, v.Set = version, set
	return v
}

// What stays the same keeps what is known of it; what comes is listed and told of; what goes is not shown any more, but
// to who began before that.
func TestSourcesComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := named{"a", listing("x")}, named{"b", listing("y")}
		c := newCatalog(t)
		told := watched(c, merged(Always))
		first := adopted(c, 1, sourceOf(a, "1"))
		if synctest.Wait(); a.asked() != 0 {
			t.Error("the first ones are asked before anybody wants to know")
		}
		if diff := cmp.Diff([]string{"a__x"}, names(t, c, first, listCall(""))); diff != "" {
			t.Error(diff)
		}
		second := adopted(c, 2, sourceOf(a, "1"), sourceOf(b, "1"))
		quietly()
		if diff := cmp.Diff([]string{"a__x", "b__y"}, names(t, c, second, listCall(""))); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"tools x"}, *told); diff != "" || a.asked() != 1 || b.asked() != 1 {
			t.Errorf("%s asked %d and %d times", diff, a.asked(), b.asked())
		}
		third := adopted(c, 3, sourceOf(b, "1"))
		if diff := cmp.Diff([]string{"b__y"}, names(t, c, third, listCall(""))); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"a__x", "b__y"}, names(t, c, second, listCall(""))); diff != "" {
			t.Errorf("who began before: %s", diff)
		}
		if diff := cmp.Diff([]string{mcp.ToolsChanged}, c.Differs(t.Context(), second, third)); diff != "" {
			t.Error(diff)
		}
		if _, err := c.ResolveTool(t.Context(), third, ownClient(), "a__x"); err == nil || !strings.Contains(err.Error(), "unknown tool") {
			t.Errorf("the tool that went: %v", err)
		}
		if c.RenewTools(t.Context(), "a", ownClient()) || c.Declares(t.Context(), "a", "tools") {
			t.Error("an upstream that went is asked")
		}
	})
}

// An upstream that is another one now is shown as it was until it has listed, within the filter that holds now.
func TestSourcesAreReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		before, after := named{"a", listing("x", "y", "z")}, named{"a", listing("x", "new")}
		answer := make(chan struct{})
		after.listed = func() { <-answer }
		c := newCatalog(t)
		told := watched(c, merged(Always))
		first := adopted(c, 1, sourceOf(before, "1"))
		names(t, c, first, listCall(""))
		narrow := sourceOf(after, "2")
		narrow.Allows = func(own string) bool { return own != "y" }
		second := adopted(c, 2, narrow)
		if diff := cmp.Diff([]string{"a__x", "a__z"}, names(t, c, second, listCall(""))); diff != "" {
			t.Errorf("until it has listed: %s", diff)
		}
		close(answer)
		quietly()
		if diff := cmp.Diff([]string{"a__x", "a__new"}, names(t, c, second, listCall(""))); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"tools x"}, *told); diff != "" {
			t.Error(diff)
		}
	})
}

// What was listed before a set is used is told of by what differs, and not once more.
func TestASetIsWarmedBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		before, after := named{"a", listing("x")}, named{"a", listing("new")}
		c := newCatalog(t)
		told := watched(c, merged(Always))
		first := adopted(c, 1, sourceOf(before, "1"))
		names(t, c, first, listCall(""))
		set := c.Prepare([]Source{sourceOf(after, "2")})
		set.Warm(t.Context(), "a")
		quietly()
		if len(*told) > 0 {
			t.Errorf("told before it is used: %v", *told)
		}
		c.Adopt(set)
		second := merged(Always)
		second.Version, second.Set = 2, set
		if diff := cmp.Diff([]string{mcp.ToolsChanged}, c.Differs(t.Context(), first, second)); diff != "" {
			t.Error(diff)
		}
		quietly()
		if after.asked() != 1 || len(*told) > 0 {
			t.Errorf("asked %d times, told %v", after.asked(), *told)
		}
	})
}

// Nothing is tried again of an upstream that went.
func TestSourcesThatWentAreLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := named{"a", listing("x")}
		a.fail = errors.New("down")
		c := newCatalog(t)
		first := adopted(c, 1, sourceOf(a, "1"))
		_, _ = c.List(t.Context(), first, listCall(""))
		adopted(c, 2)
		a.set(func(l *lister) { l.fail = nil })
		time.Sleep(time.Hour)
		_, _ = c.List(t.Context(), first, listCall(""))
		synctest.Wait()
		if a.asked() != 0 {
			t.Errorf("asked %d times", a.asked())
		}
	})
}

// A source that is apart is the gateway's own: it is shown where a view names it, by the names that it has itself.
func TestSourcesApart(t *testing.T) {
	t.Parallel()
	c := newCatalog(t)
	own := sourceOf(named{"models:/mcp", listing("invoke_a", "invoke_b:1")}, "1")
	own.Apart = true
	everything := adopted(c, 1, sourceOf(named{"one", listing("invoke_a")}, "1"), own)
	if diff := cmp.Diff([]string{"one__invoke_a"}, names(t, c, everything, listCall(""))); diff != "" {
		t.Errorf("a view that names nobody (-want +got):\n%s", diff)
	}
	for prefix, want := range map[Prefix][]string{
		Always: {"one__invoke_a", "invoke_a", Bare("invoke_b:1")}, Never: {"one__invoke_a", "invoke_a", Bare("invoke_b:1")},
	} {
		v := *everything
		v.Endpoint, v.Prefix, v.Upstreams = "/mcp/"+string(prefix), prefix, []string{"one", "models:/mcp"}
		if diff := cmp.Diff(want, names(t, c, &v, listCall(""))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", prefix, diff)
		}
		target, err := c.ResolveTool(t.Context(), &v, rpc.Client{}, want[2])
		if err != nil || target.Own != "invoke_b:1" || target.Canonical != want[2] || target.Upstream != "models:/mcp" {
			t.Errorf("%s: %s leads to %+v, %v", prefix, want[2], target, err)
		}
	}
}
