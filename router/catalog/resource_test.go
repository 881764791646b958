package catalog

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// serving is an upstream that lists resources and templates.
func serving(uris, templates []string) *lister {
	write := func(member, key string, values []string) string {
		entries := make([]string, 0, len(values))
		for _, v := range values {
			entries = append(entries, fmt.Sprintf(`{%q:%q,"name":"n"}`, key, v))
		}
		return fmt.Sprintf(`{%q:[%s]}`, member, strings.Join(entries, ","))
	}
	l := listing()
	l.others = map[string]string{
		mcp.ResourcesList: write("resources", "uri", uris),
		mcp.TemplatesList: write("resourceTemplates", "uriTemplate", templates),
	}
	return l
}

func callOf(method, params string) *rpc.Call {
	call := listCall(params)
	call.Method, _ = mcp.Lookup(method, mcp.LatestLegacy)
	if call.Method == nil {
		call.Method, _ = mcp.Lookup(method, mcp.LatestModern)
	}
	call.Message = rpc.NewRequest(rpc.NumberID(1), method, []byte(params))
	return call
}

// keys lists what a method lists, by the member that tells entries apart.
func keys(t *testing.T, c *Catalog, v *View, method string) []string {
	t.Helper()
	text, err := c.List(t.Context(), v, callOf(method, "{}"))
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	l, _ := listOf(method)
	var result map[string]json.RawMessage
	var entries []map[string]any
	if err := json.Unmarshal(text, &result); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(result[l.traits().member], &entries); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	out := []string{}
	for _, e := range entries {
		out = append(out, fmt.Sprint(e[l.traits().key]))
	}
	return out
}

// leads tells where a URI leads: upstream, then the URI there.
func leads(t *testing.T, c *Catalog, v *View, p rpc.Principal, uri string) string {
	t.Helper()
	target := c.ResolveURI(t.Context(), v, rpc.Client{}, p, uri)
	return target.Upstream + " " + target.Own
}

func TestCorner5_6_URIsStayUnlessTwoClaimThem(t *testing.T) {
	t.Parallel()
	c := newCatalog(
		t,
		named{"one", serving([]string{"file:///a", "file:///both", "ui://view"}, []string{"db://{x}", "file:///{p}"})},
		named{"two", serving([]string{"file:///both", "file:///b/%2F", "ui://view", "x://one+trap"}, []string{"file:///{p}"})},
	)
	v := merged(Always)
	want := []string{"file:///a", "file://one+/both", "ui://one+view", "file://two+/both", "file:///b/%2F", "ui://two+view", "x://two+one+trap"}
	if diff := cmp.Diff(want, keys(t, c, v, mcp.ResourcesList)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"db://{x}", "file://one+/{p}", "file://two+/{p}"}, keys(t, c, v, mcp.TemplatesList)); diff != "" {
		t.Error(diff)
	}
	for uri, want := range map[string]string{
		"file:///a":         "one file:///a",
		"file://one+/a":     "one file:///a", // always known
		"file://one+/both":  "one file:///both",
		"file://two+/both":  "two file:///both",
		"file:///both":      "one file:///both", // the first in order
		"ui://two+view":     "two ui://view",
		"ui://two+unlisted": "two ui://unlisted", // user interfaces need not be listed
		"x://two+one+trap":  "two x://one+trap",
		"x://one+trap":      "two x://one+trap",
		"file:///b/%2F":     "two file:///b/%2F",
		"file:///new":       "one file:///new", // by template, the first in order
		"file://two+/new":   "two file:///new",
		"db://1":            "one db://1",
		"FILE:///a":         " FILE:///a", // never normalised
		"nobody+x://y":      " nobody+x://y",
	} {
		if got := leads(t, c, v, rpc.Principal{}, uri); got != want {
			t.Errorf("%s leads to %q, want %q", uri, got, want)
		}
	}
}

func TestASingleUpstreamsURIsAreItsOwn(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"one", serving([]string{"ui://view"}, nil)}, named{"two", serving([]string{"ui://view"}, nil)})
	v := &View{Endpoint: "/mcp/two", Upstreams: []string{"two"}, Single: true, Allows: all}
	if diff := cmp.Diff([]string{"ui://view"}, keys(t, c, v, mcp.ResourcesList)); diff != "" {
		t.Error(diff)
	}
	for _, uri := range []string{"ui://view", "any://thing", "ui://one+view"} {
		if got := leads(t, c, v, rpc.Principal{}, uri); got != "two "+uri {
			t.Errorf("%s leads to %q", uri, got)
		}
	}
	if got := c.ExposeURI(t.Context(), v, rpc.Client{}, rpc.Principal{}, "two", "ui://view"); got != "ui://view" {
		t.Errorf("shown as %q", got)
	}
}

func TestCorner5_6_WhoShowedAURIOwnsItForThatPrincipalOnly(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"one", serving(nil, nil)}, named{"two", serving([]string{"x://listed"}, nil)})
	v, ann, bob := merged(Always), rpc.Principal{User: "ann"}, rpc.Principal{User: "bob"}
	show := func(p rpc.Principal, upstream, uri string) string {
		return c.ExposeURI(t.Context(), v, rpc.Client{}, p, upstream, uri)
	}
	if got := show(ann, "two", "x://1"); got != "x://1" {
		t.Errorf("shown as %q", got)
	}
	if got := leads(t, c, v, ann, "x://1"); got != "two x://1" {
		t.Errorf("for ann it leads to %q", got)
	}
	if got := leads(t, c, v, bob, "x://1"); got != " x://1" {
		t.Errorf("for bob it leads to %q", got)
	}
	// Another's claim does not change where it leads, but is reachable too.
	if got := show(ann, "one", "x://1"); got != "x://one+1" || leads(t, c, v, ann, got) != "one x://1" {
		t.Errorf("another's is shown as %q", got)
	}
	if got := leads(t, c, v, ann, "x://1"); got != "two x://1" {
		t.Errorf("it leads to %q now", got)
	}
	if got := show(ann, "one", "x://listed"); got != "x://one+listed" {
		t.Errorf("what another lists is shown as %q", got)
	}
	few := &View{Endpoint: "/mcp/few", Upstreams: []string{"one"}, Allows: all}
	if got := leads(t, c, few, ann, "x://1"); got != " x://1" {
		t.Errorf("an endpoint without its owner leads to %q", got)
	}
}

// What a client's own lists are is not known in its first call, which must not wait.
func TestWhatAnybodySeesStandsInForAnAudiencesOwnLists(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"one", serving([]string{"x://both"}, nil)}, named{"two", serving([]string{"x://both"}, nil)})
	c.Warm(t.Context())
	asked := rpc.Client{Capabilities: []byte(`{"elicitation":{}}`), Session: "s"}
	if got := c.ExposeURI(t.Context(), merged(Always), asked, rpc.Principal{}, "one", "x://both"); got != "x://one+both" {
		t.Errorf("shown as %q", got)
	}
}

func TestCorner5_6_OwnersAreBounded(t *testing.T) {
	t.Parallel()
	o := newOwners()
	o.learn(rpc.Principal{User: "first"}, "x://kept", "up")
	for i := range 3 * maxOwned {
		o.learn(rpc.Principal{User: "noisy"}, fmt.Sprint("x://", i), "up")
	}
	if uris, _ := o.byPrincipal.Get(principalKey{user: "noisy"}); uris.Len() != maxOwned {
		t.Errorf("%d URIs are kept", uris.Len())
	}
	if _, ok := o.of(rpc.Principal{User: "first"}, "x://kept"); !ok {
		t.Error("one principal pushed out what another was shown")
	}
	long := "x://" + strings.Repeat("a", maxOwnedURI)
	o.learn(rpc.Principal{}, long, "up")
	if _, ok := o.of(rpc.Principal{}, long); ok {
		t.Error("a URI of any length is kept")
	}
	for i := range 3 * maxPrincipals {
		o.learn(rpc.Principal{User: fmt.Sprint(i)}, "x://", "up")
	}
	if n := o.byPrincipal.Len(); n != maxPrincipals {
		t.Errorf("%d principals are kept", n)
	}
}

func TestCorner5_5_PromptsAreNamedAsTools(t *testing.T) {
	t.Parallel()
	one, two := listing(), listing()
	one.others = map[string]string{mcp.PromptsList: `{"prompts":[{"name":"ask","arguments":[{"name":"x"}]},{"name":"odd name"}]}`}
	two.others = map[string]string{mcp.PromptsList: `{"prompts":[{"name":"ask"},{"title":"nameless"}]}`}
	c := newCatalog(t, named{"one", one}, named{"two", two})
	v := merged(Always)
	shown := keys(t, c, v, mcp.PromptsList)
	if diff := cmp.Diff([]string{"one__ask", Canonical("one", "odd name"), "two__ask"}, shown); diff != "" {
		t.Error(diff)
	}
	for _, name := range append(shown, "odd name") {
		target, err := c.ResolvePrompt(t.Context(), v, rpc.Client{}, name)
		if err != nil || target.Kind != rpc.Prompt {
			t.Errorf("%s leads to %+v, %v", name, target, err)
		}
	}
	if _, err := c.ResolvePrompt(t.Context(), v, rpc.Client{}, "ask"); rpc.AsError(err).Code != rpc.InvalidParams {
		t.Errorf("a name that two have: %v", err)
	}
	if text, err := c.List(t.Context(), v, callOf(mcp.PromptsList, "{}")); err != nil || !strings.Contains(string(text), `{"name":"one__ask","arguments":[{"name":"x"}]}`) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestOnlyOneUpstreamWithoutAListSaysSo(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"one", listing("a")}, named{"two", listing("b")})
	if got := keys(t, c, merged(Always), mcp.PromptsList); len(got) != 0 {
		t.Errorf("prompts %q", got)
	}
	v := &View{Endpoint: "/mcp/one", Upstreams: []string{"one"}, Single: true, Allows: all}
	if _, err := c.List(t.Context(), v, callOf(mcp.PromptsList, "{}")); rpc.AsError(err).Code != rpc.MethodNotFound {
		t.Errorf("%v, want method_not_found", err)
	}
}

func TestCorner5_3_CursorsOfOneListAreNotThoseOfAnother(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"u", many(1500)})
	cursor := firstCursor(t, c, listCall(""))
	params := fmt.Sprintf(`{"cursor":%q}`, cursor)
	if _, err := c.List(t.Context(), merged(Always), callOf(mcp.PromptsList, params)); rpc.AsError(err).Code != rpc.InvalidParams {
		t.Errorf("%v, want invalid_params", err)
	}
}

// Corner case 5.21.
func TestEachKindOfListIsToldOfByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := serving([]string{"x://1"}, nil)
		c := newCatalog(t, named{"u", up})
		var told []string
		c.OnChange(func(ch Change) { told = append(told, ch.Method) })
		c.Warm(t.Context())
		up.set(func(l *lister) { l.others = serving([]string{"x://1", "x://2"}, nil).others })
		for _, method := range []string{mcp.LogMessage, ""} {
			c.Notice("u", method)
		}
		c.Notice("nobody", mcp.ToolsChanged)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(told) != 0 {
			t.Errorf("told of %q, want nothing", told)
		}
		c.Notice("u", mcp.ResourcesChanged)
		time.Sleep(time.Second)
		synctest.Wait()
		// Once for the resources and the templates.
		if diff := cmp.Diff([]string{mcp.ResourcesChanged}, told); diff != "" {
			t.Error(diff)
		}
	})
}
