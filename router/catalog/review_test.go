package catalog

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state/seal"
)

// reviewedCatalog has every list reviewed.
func reviewedCatalog(t *testing.T, review func(upstream string, l Listing) map[string]string, upstreams ...named) *Catalog {
	t.Helper()
	keys, err := seal.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	var sources []Source
	for _, u := range upstreams {
		sources = append(sources, Source{
			Name: u.name, Handler: u.lister, Describe: u.describe, Allows: all, Listed: true,
			Review: func(_ context.Context, l Listing) map[string]string { return review(u.name, l) },
		})
	}
	c := New(t.Context(), sources, keys, slog.New(slog.DiscardHandler))
	t.Cleanup(c.Close)
	return c
}

func resolveTool(t *testing.T, c *Catalog, v *View, name string) string {
	t.Helper()
	target, err := c.ResolveTool(t.Context(), v, listCall("").Client, name)
	if err != nil {
		return rpc.AsError(err).Code.String()
	}
	return target.Upstream + "/" + target.Own
}

// T23: what is withheld is neither listed nor called, and its name leads to nobody else's tool instead.
func TestT23_WithheldTools(t *testing.T) {
	t.Parallel()
	c := reviewedCatalog(t, func(upstream string, l Listing) map[string]string {
		if upstream == "u" && l.Kind == "tools" {
			return map[string]string{"bad": "has changed"}
		}
		return nil
	}, named{"u", listing("good", "bad")}, named{"v", listing("bad", "other")})
	single := &View{Endpoint: "/mcp/u", Upstreams: []string{"u"}, Single: true, Allows: all}
	for _, tt := range []struct {
		view  *View
		shown []string
		leads map[string]string
	}{
		{merged(Always), []string{"u__good", "v__bad", "v__other"}, map[string]string{
			"u__bad": "forbidden", "v__bad": "v/bad", "u__good": "u/good", "bad": "invalid_params", "good": "u/good",
		}},
		{merged(Never), []string{"good", "other"}, map[string]string{"bad": "forbidden", "u__bad": "forbidden", "v__bad": "v/bad"}},
		{single, []string{"good"}, map[string]string{"good": "u/good", "bad": "forbidden", "u__bad": "forbidden", "unlisted": "invalid_params"}},
	} {
		v := *tt.view
		v.Endpoint += string(v.Prefix)
		if diff := cmp.Diff(tt.shown, names(t, c, &v, listCall(""))); diff != "" {
			t.Errorf("%s: %s", v.Endpoint, diff)
		}
		for name, want := range tt.leads {
			if got := resolveTool(t, c, &v, name); got != want {
				t.Errorf("%s: %s leads to %s, want %s", v.Endpoint, name, got, want)
			}
		}
	}
	if n := c.Status("u").Tools; n != 1 {
		t.Errorf("%d tools", n)
	}
}

// Names that a server does not list reach it only where nothing has to be approved; and only once it is known what it lists.
func TestUnlistedNamesOfReviewedUpstreams(t *testing.T) {
	t.Parallel()
	up := listing("a")
	up.fail = rpc.Errorf(rpc.UpstreamDown, "upstream is down")
	c := reviewedCatalog(t, func(string, Listing) map[string]string { return nil }, named{"u", up})
	single := &View{Endpoint: "/mcp/u", Upstreams: []string{"u"}, Single: true, Allows: all}
	if got := resolveTool(t, c, single, "a"); got != "upstream_down" {
		t.Errorf("of an upstream that never listed: %s", got)
	}
}

// What is approved is shown after the next notice, and clients are told; of what is withheld they are not.
func TestApprovalIsAChangeToClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var approved atomic.Bool
		up := listing("a")
		c := reviewedCatalog(t, func(_ string, l Listing) map[string]string {
			if approved.Load() || !slices.Contains(l.Names, "b") {
				return nil
			}
			return map[string]string{"b": "is new"}
		}, named{"u", up})
		told := counted(c)
		c.Warm(t.Context())
		shows := func(what string, changes int, want ...string) {
			t.Helper()
			c.Notice("u", mcp.ToolsChanged)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if *told != changes {
				t.Errorf("%s: clients were told %d times, want %d", what, *told, changes)
			}
			if diff := cmp.Diff(want, names(t, c, merged(Always), listCall(""))); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
		}
		up.set(func(l *lister) { l.pages = []string{tools("a", "b")} })
		shows("withheld", 1, "u__a") // one of the few notices that are passed on though nothing changed
		approved.Store(true)
		shows("approved", 2, "u__a", "u__b")
	})
}

// The reviewer sees entries as the server wrote them, of tools and of prompts, and all of them.
func TestReviewSeesWhatTheServerWrote(t *testing.T) {
	t.Parallel()
	entry := `{"name":"a", "icons":[{"src":"http://x/unsafe"}],"inputSchema":{}}`
	up := &lister{
		pages:  []string{`{"tools":[` + entry + `]}`},
		others: map[string]string{mcp.PromptsList: `{"prompts":[{"name":"p"}]}`, mcp.ResourcesList: `{"resources":[{"uri":"x:y"}]}`},
		desc:   Description{Server: "server"},
	}
	seen := make(chan Listing, 8)
	c := reviewedCatalog(t, func(_ string, l Listing) map[string]string { seen <- l; return nil }, named{"u", up})
	c.Warm(t.Context())
	close(seen)
	got := map[string]string{}
	for l := range seen {
		if !l.Whole || l.Server != "server" || l.Audience != Anybody || len(l.Names) != 1 {
			t.Errorf("%+v", l)
		}
		got[l.Kind+" "+l.Names[0]] = string(l.Texts[0])
	}
	if diff := cmp.Diff(map[string]string{"tools a": entry, "prompts p": `{"name":"p"}`}, got); diff != "" {
		t.Error(diff)
	}
}

// T23: instructions are text that models read too.
func TestT23_WithheldInstructions(t *testing.T) {
	t.Parallel()
	good, bad := listing(), listing()
	good.desc.Instructions, bad.desc.Instructions = "Be kind.", "Be <evil>."
	c := reviewedCatalog(t, func(upstream string, l Listing) map[string]string {
		if l.Kind == "instructions" && upstream == "v" && string(l.Texts[0]) == `"Be <evil>."` {
			return map[string]string{"instructions": "has changed"}
		}
		return nil
	}, named{"u", good}, named{"v", bad})
	if s := c.Summarize(t.Context(), merged(Never)); !strings.Contains(s.Instructions, "kind") || strings.Contains(s.Instructions, "evil") {
		t.Errorf("%s", s.Instructions)
	}
}

// T24: tools of one name are both reached by their whole names, whatever is found first.
func TestT24_OrderOfDiscoveryDoesNotMatter(t *testing.T) {
	t.Parallel()
	order := []string{"alpha", "beta", "gamma"}
	want := map[string]string{}
	for _, owner := range []string{
		"alpha/search", "beta/search", "gamma/alpha__search", "beta/only", "alpha/seаrch", // with a letter that looks like another
	} {
		upstream, own, _ := strings.Cut(owner, "/")
		want[Canonical(upstream, own)] = owner
	}
	if len(want) != 5 {
		t.Fatalf("%d names of 5 tools", len(want))
	}
	for i := range 100 {
		shuffled := slices.Clone(order)
		rand.Shuffle(len(shuffled), func(a, b int) { shuffled[a], shuffled[b] = shuffled[b], shuffled[a] })
		synctest.Test(t, func(t *testing.T) {
			c := newCatalog(t,
				named{"alpha", listing("search", "seаrch")}, named{"beta", listing("search", "only")}, named{"gamma", listing("alpha__search")})
			for _, upstream := range shuffled {
				c.Warm(t.Context(), upstream)
				names(t, c, merged(OnCollision), listCall("")) // what is there by then
			}
			for name, owner := range want {
				for _, prefix := range []Prefix{Always, OnCollision, Never} {
					v := merged(prefix)
					v.Endpoint += string(prefix)
					if got := resolveTool(t, c, v, name); got != owner {
						t.Errorf("%d, found in the order %v, %s: %s leads to %s, want %s", i, shuffled, prefix, name, got, owner)
					}
				}
			}
			first := merged(Never)
			first.Endpoint += string(Never)
			if got := resolveTool(t, c, first, "search"); got != "alpha/search" {
				t.Errorf("found in the order %v: search leads to %s", shuffled, got)
			}
		})
	}
}
