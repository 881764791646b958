package catalog

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
)

// The second user sees odd tools only, the first all; each on as many pages as that
// takes, which the other's cursors do not open.
func TestCorner5_29_ListsShowWhatACallerMayUse(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"u", many(2500)})
	all := listAs(t, c, "first")
	some := listAs(t, c, "second")
	if len(all) != 2500 || len(some) != 250 {
		t.Fatalf("the first sees %d tools, the second %d", len(all), len(some))
	}
	want := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !strings.HasSuffix(name, "1") })
	if diff := cmp.Diff(want, some); diff != "" {
		t.Error(diff)
	}
}

// listAs lists all pages and checks that none may be kept for others.
func listAs(t *testing.T, c *Catalog, user string) []string {
	t.Helper()
	var all []string
	for params := ""; ; {
		call := listCall(params)
		call.Principal.User, call.Client.Era = user, rpc.Modern
		view := merged(Always)
		view.Sees = func(call *rpc.Call, target *rpc.Target) bool {
			return call.Principal.User == "first" || strings.HasSuffix(target.Own, "1")
		}
		text, err := c.List(t.Context(), view, call)
		if err != nil {
			t.Fatal(err)
		}
		var result struct {
			NextCursor *string
			CacheScope string
		}
		if err := json.Unmarshal(text, &result); err != nil || result.CacheScope != "private" {
			t.Fatalf("%v, scope %q", err, result.CacheScope)
		}
		all = append(all, namesIn(t, text)...)
		if result.NextCursor == nil {
			return all
		}
		params = fmt.Sprintf(`{"cursor":%q}`, *result.NextCursor)
	}
}
