package catalog

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state/seal"
)

func TestCorner5_4_PrefixDecidesWhatIsShownAndBothAreReachable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		prefix Prefix
		shown  []string
	}{
		{Always, []string{"one__same", "one__only", "two__same", "two__odd_name_b25a09b4"}},
		{OnCollision, []string{"one__same", "only", "two__same", "odd_name_"}},
		{Never, []string{"same", "only", "odd_name_"}},
	}
	for _, tt := range tests {
		t.Run(string(tt.prefix), func(t *testing.T) {
			t.Parallel()
			c := newCatalog(t, named{"one", listing("same", "only")}, named{"two", listing("same", "odd name")})
			v := merged(tt.prefix)
			shown := names(t, c, v, listCall(""))
			if len(shown) != len(tt.shown) {
				t.Fatalf("shown %q, want %q", shown, tt.shown)
			}
			for i := range shown {
				if !strings.HasPrefix(shown[i], strings.TrimSuffix(tt.shown[i], "_b25a09b4")) {
					t.Errorf("shown %q, want %q", shown, tt.shown)
				}
			}
			for _, name := range append(shown, "one__same", "two__same", Canonical("two", "odd name")) {
				target, err := c.ResolveTool(t.Context(), v, rpc.Client{}, name)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if target.Canonical != Canonical(target.Upstream, target.Own) {
					t.Errorf("%s leads to %+v", name, target)
				}
			}
			for _, up := range []string{"one", "two"} {
				target, err := c.ResolveTool(t.Context(), v, rpc.Client{}, up+"__same")
				if err != nil || target.Upstream != up || target.Own != "same" {
					t.Errorf("%s__same leads to %+v, %v", up, target, err)
				}
			}
		})
	}
}

func TestCorner5_4_TheFirstOfTwoCounts(t *testing.T) {
	t.Parallel()
	keys, err := seal.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	up := &lister{pages: []string{`{"tools":[{"name":"t","description":"first"},{"name":"t","description":"second"}]}`}}
	var log strings.Builder
	c := New(t.Context(), []Source{{Name: "u", Handler: up, Describe: up.describe, Allows: all}}, keys, slog.New(slog.NewTextHandler(&log, nil)))
	text, err := c.List(t.Context(), merged(Always), listCall(""))
	c.Close()
	if err != nil || !strings.Contains(string(text), "first") || strings.Contains(string(text), "second") {
		t.Errorf("%s, %v", text, err)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "listed twice") {
		t.Errorf("log: %s", log.String())
	}
}

// No name leads elsewhere than where its canonical form does, whatever others are called.
func TestCorner5_4_NamesThatLookLikeOthers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100)
	lists := map[string][]string{
		"a":   {"b_c", "Read", "read", "1st", "ui/open.view", "søk", long, long + "y"},
		"a_b": {"c", "a__read", "read"},
	}
	for _, prefix := range []Prefix{Always, OnCollision, Never} {
		t.Run(string(prefix), func(t *testing.T) {
			t.Parallel()
			c := newCatalog(t, named{"a_b", listing(lists["a_b"]...)}, named{"a", listing(lists["a"]...)})
			v := merged(prefix)
			shown := names(t, c, v, listCall(""))
			for upstream, tools := range lists {
				for _, own := range tools {
					target, err := c.ResolveTool(t.Context(), v, rpc.Client{}, Canonical(upstream, own))
					if err != nil || target.Upstream != upstream || target.Own != own {
						t.Errorf("%s leads to %+v, %v", Canonical(upstream, own), target, err)
					}
				}
			}
			for _, name := range shown {
				if target, err := c.ResolveTool(t.Context(), v, rpc.Client{}, name); err != nil || target.Exposed != name || !conforming.MatchString(name) {
					t.Errorf("%s is shown and leads to %+v, %v", name, target, err)
				}
			}
		})
	}
}

func TestASingleUpstreamIsShownAsItIs(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"one", listing("odd name", "a.b")}, named{"two", listing("x")})
	v := &View{Endpoint: "/mcp/one", Upstreams: []string{"one"}, Single: true, Allows: all}
	if diff := cmp.Diff([]string{"odd name", "a.b"}, names(t, c, v, listCall(""))); diff != "" {
		t.Error(diff)
	}
	target, err := c.ResolveTool(t.Context(), v, rpc.Client{}, "not listed")
	if err != nil || target.Own != "not listed" || target.Upstream != "one" {
		t.Errorf("an unlisted name leads to %+v, %v; want the upstream to judge it", target, err)
	}
}

func TestUnknownNamesSaySoAndSuggest(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"one", listing("read")}, named{"two", listing("write")})
	_, err := c.ResolveTool(t.Context(), merged(Always), rpc.Client{}, "One__Read")
	if e := rpc.AsError(err); e.Code != rpc.InvalidParams || !strings.Contains(e.Message, `did you mean "one__read"`) {
		t.Errorf("error = %v", err)
	}
	_, err = c.ResolveTool(t.Context(), merged(Always), rpc.Client{}, "nothing\n\x1b[31m")
	if e := rpc.AsError(err); e.Code != rpc.InvalidParams || strings.ContainsAny(e.Message, "\n\x1b") {
		t.Errorf("error = %q", e.Message)
	}
}

// MCP Apps: a view calls the tools of its server by their own names.
func TestCorner5_13_AnOwnNameIsAcceptedWhereOneUpstreamHasIt(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"one", listing("refresh", "same")}, named{"two", listing("same", "hidden.name")})
	for name, upstream := range map[string]string{"refresh": "one", "hidden.name": "two"} {
		target, err := c.ResolveTool(t.Context(), merged(Always), rpc.Client{}, name)
		if err != nil || target.Upstream != upstream || target.Own != name || target.Canonical != Canonical(upstream, name) {
			t.Errorf("%s leads to %+v, %v", name, target, err)
		}
	}
	_, err := c.ResolveTool(t.Context(), merged(Always), rpc.Client{}, "same")
	if e := rpc.AsError(err); e.Code != rpc.InvalidParams || !strings.Contains(e.Message, "__same") {
		t.Errorf("a name that two have: %v", err)
	}
	v := &View{Endpoint: "/mcp/few", Prefix: Always, Allows: func(n string) bool { return n != "refresh" }}
	if _, err := c.ResolveTool(t.Context(), v, rpc.Client{}, "refresh"); err == nil {
		t.Error("a tool that is filtered out can be called by its own name")
	}
	one := &View{Endpoint: "/mcp/one", Prefix: Always, Allows: func(n string) bool { return n != "one__same" }}
	if target, err := c.ResolveTool(t.Context(), one, rpc.Client{}, "same"); err != nil || target.Upstream != "two" {
		t.Errorf("a name that two have, of whom one may be called: %+v, %v", target, err)
	}
}

func TestFiltersHideFromListsAndCalls(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"one", listing("read", "delete")})
	v := &View{Endpoint: "/mcp", Prefix: Always, Allows: func(n string) bool { return !strings.HasSuffix(n, "delete") }}
	if diff := cmp.Diff([]string{"one__read"}, names(t, c, v, listCall(""))); diff != "" {
		t.Error(diff)
	}
	if _, err := c.ResolveTool(t.Context(), v, rpc.Client{}, "one__delete"); rpc.AsError(err).Code != rpc.InvalidParams {
		t.Errorf("a hidden tool can be called: %v", err)
	}
}

func TestCorner5_3_OneDeadUpstreamNeverFailsAListAllDeadDo(t *testing.T) {
	t.Parallel()
	gone := &lister{fail: &rpc.Error{Code: rpc.UpstreamDown, Message: `upstream "dead" exited`, Upstream: "dead"}}
	c := newCatalog(t, named{"dead", gone}, named{"one", listing("read")})
	if diff := cmp.Diff([]string{"one__read"}, names(t, c, merged(Always), listCall(""))); diff != "" {
		t.Error(diff)
	}
	_, err := c.ResolveTool(t.Context(), merged(Always), rpc.Client{}, "dead__x")
	if e := rpc.AsError(err); e.Code != rpc.UpstreamDown || e.Upstream != "dead" || !strings.Contains(e.Message, "exited") {
		t.Errorf("a call to the dead one: %v", err)
	}
	other := &lister{fail: &rpc.Error{Code: rpc.UpstreamTimeout, Message: `upstream "mute" said nothing`, Upstream: "mute"}}
	several := newCatalog(t, named{"dead", gone}, named{"mute", other}, named{"one", listing("read")})
	for name, why := range map[string]string{"dead": "exited", "mute": "said nothing"} {
		_, err := several.ResolveTool(t.Context(), merged(Always), rpc.Client{}, name+"__x")
		if e := rpc.AsError(err); e.Upstream != name || !strings.Contains(e.Message, why) {
			t.Errorf("a call to %s, one of two that fail: %v", name, err)
		}
	}
	alone := newCatalog(t, named{"dead", gone})
	if _, err := alone.List(t.Context(), merged(Always), listCall("")); rpc.AsError(err).Code != rpc.UpstreamDown {
		t.Errorf("all dead: %v", err)
	}
}

func TestEntriesFitTheClientsEra(t *testing.T) {
	t.Parallel()
	entry := `{"name":"t","inputSchema":null,"outputSchema":{"type":"array"},"execution":{"taskSupport":"optional"},"x":1.0,"y":9007199254740993}`
	c := newCatalog(t, named{"u", &lister{pages: []string{`{"tools":[` + entry + `]}`}}})
	v := &View{Endpoint: "/mcp/u", Upstreams: []string{"u"}, Single: true, Allows: all}
	for _, tt := range []struct {
		era  rpc.Era
		want string
	}{
		{rpc.Legacy, `{"name":"t","inputSchema":{"type":"object"},"execution":{"taskSupport":"optional"},"x":1.0,"y":9007199254740993}`},
		{rpc.Modern, `{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"type":"array"},"x":1.0,"y":9007199254740993}`},
	} {
		call := listCall("")
		call.Client.Era = tt.era
		text, err := c.List(t.Context(), v, call)
		if err != nil || !strings.Contains(string(text), `"tools":[`+tt.want+`]`) {
			t.Errorf("%v: %s, %v; want %s", tt.era, text, err, tt.want)
		}
	}
}

// A tool that its server runs as a task only is called as any other, so clients are not
// told to do anything else.
func TestToolsThatRunAsTasks(t *testing.T) {
	t.Parallel()
	page := `{"tools":[{"name":"r","inputSchema":{"type":"object"},"execution":{"taskSupport":"required"}},` +
		`{"name":"o","inputSchema":{"type":"object"},"execution":{"taskSupport":"optional"}},{"name":"s","inputSchema":{"type":"object"},"execution":7}]}`
	c := newCatalog(t, named{"u", &lister{pages: []string{page}}})
	call := listCall("")
	call.Client.Era = rpc.Legacy
	text, err := c.List(t.Context(), merged(Always), call)
	if err != nil || strings.Contains(string(text), "required") || !strings.Contains(string(text), "optional") {
		t.Errorf("%s, %v", text, err)
	}
	for name, want := range map[string]bool{"u__r": true, "u__o": false, "u__s": false} {
		target, err := c.ResolveTool(t.Context(), merged(Always), call.Client, name)
		if err != nil || target.Task != want {
			t.Errorf("%s: %+v, %v", name, target, err)
		}
	}
}

func TestCorner5_33_InvalidHeaderAnnotations(t *testing.T) {
	t.Parallel()
	page := `{"tools":[{"name":"bad","inputSchema":{"type":"object","properties":{"a":{"type":"number","x-mcp-header":"A"}}}},{"name":"good","inputSchema":{"type":"object"}}]}`
	modern := &lister{pages: []string{page}, desc: Description{Era: rpc.Modern, HTTP: true}}
	legacy := &lister{pages: []string{page}, desc: Description{Era: rpc.Legacy, HTTP: true}}
	c := newCatalog(t, named{"m", modern}, named{"l", legacy})
	if diff := cmp.Diff([]string{"m__good", "l__bad", "l__good"}, names(t, c, merged(Always), listCall(""))); diff != "" {
		t.Error(diff)
	}
	text, err := c.List(t.Context(), merged(Always), listCall(""))
	if err != nil || strings.Contains(string(text), "x-mcp-header") {
		t.Errorf("annotation that cannot be obeyed is shown: %s, %v", text, err)
	}
}

func TestCorner5_3_HostileLists(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		pages []string
		want  int
	}{
		{"no tools member", []string{`{}`}, -1},
		{"tools is no array", []string{`{"tools":{}}`}, -1},
		{"duplicate members", []string{`{"tools":[],"tools":[]}`}, -1},
		{"result is no object", []string{`[]`}, -1},
		{"entries that are no tools", []string{`{"tools":[1,null,"x",[],{},{"name":""},{"name":7},{"name":"ok"}]}`}, 1},
		{"a name listed twice", []string{`{"tools":[{"name":"ok"},{"name":"ok","description":"other"}]}`}, 1},
		{"a cursor that repeats", []string{`{"tools":[{"name":"ok"}],"nextCursor":"page-0"}`}, 1},
		{"an empty cursor is one", []string{`{"tools":[{"name":"ok"}],"nextCursor":""}`}, 1},
		{"a null cursor ends", []string{`{"tools":[{"name":"ok"}],"nextCursor":null}`}, 1},
		{"a second page", []string{`{"tools":[{"name":"a"}],"nextCursor":"page-1"}`, `{"tools":[{"name":"b"}]}`}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCatalog(t, named{"u", &lister{pages: tt.pages}})
			text, err := c.List(t.Context(), merged(Always), listCall(""))
			if tt.want < 0 {
				if err == nil {
					t.Errorf("listed %s, want an error", text)
				}
				return
			}
			if err != nil || len(namesIn(t, text)) != tt.want {
				t.Errorf("%s, %v; want %d tools", text, err, tt.want)
			}
		})
	}
}

func TestCorner5_3_T14_EndlessPagesAreCut(t *testing.T) {
	t.Parallel()
	var pages []string
	for i := range 300 {
		pages = append(pages, strings.Replace(tools(strings.Repeat("x", i+1)), `]}`, `],"nextCursor":"page-`+string(rpc.AppendInt(nil, int64(i+1)))+`"}`, 1))
	}
	c := newCatalog(t, named{"u", &lister{pages: pages}})
	if got := len(names(t, c, merged(Always), listCall(""))); got != maxPages {
		t.Errorf("%d tools, want %d", got, maxPages)
	}
}

func TestCorner5_24_ErrorsHideInternals(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"u", &lister{fail: errors.New("dial tcp 10.0.0.1:443: refused")}})
	_, err := c.List(t.Context(), merged(Always), listCall(""))
	if e := rpc.AsError(err); strings.Contains(e.Message, "10.0.0.1") || e.Code != rpc.UpstreamDown {
		t.Errorf("the client would see %q", e.Message)
	}
}

// Models are shown what servers wrote, and the order of a schema decides whether a prompt is
// found in a cache.
func TestCorner5_11_ListedEntriesKeepTheirBytes(t *testing.T) {
	t.Parallel()
	const entry = `{ "title":"<&>\u003c\/é", "name" : "t" , "inputSchema":{ "type":"object","z":1.0, "a":12345678901234567890,"properties":{"b":{},"a":{ "const" : 1e2 }}},"_meta":{"x/y":[ ]}, "unknown":null}`
	c := newCatalog(t, named{"u", &lister{pages: []string{`{"tools":[ ` + entry + ` ]}`}}})
	single := &View{Endpoint: "/mcp/u", Upstreams: []string{"u"}, Single: true, Allows: all}
	for _, era := range []rpc.Era{rpc.Legacy, rpc.Modern} {
		for v, want := range map[*View]string{single: entry, merged(Always): strings.Replace(entry, `"t"`, `"u__t"`, 1)} {
			call := listCall("")
			call.Client.Era = era
			if text, err := c.List(t.Context(), v, call); err != nil || !strings.HasPrefix(string(text), `{"tools":[`+want+`]`) {
				t.Errorf("%s %v: %s, %v", v.Endpoint, era, text, err)
			}
		}
	}
}

// What goes into headers is known of a tool that nobody has listed yet.
func TestCorner5_15_AColdCatalogueIsFilledOnce(t *testing.T) {
	t.Parallel()
	up := &lister{pages: []string{`{"tools":[{"name":"t","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"}}}}]}`}}
	c := newCatalog(t, named{"u", up})
	single := &View{Endpoint: "/mcp/u", Upstreams: []string{"u"}, Single: true, Allows: all}
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			for name, v := range map[string]*View{"u__t": merged(Always), "t": single} {
				target, err := c.ResolveTool(t.Context(), v, rpc.Client{}, name)
				if err != nil || len(target.ParamHeaders) != 1 || target.ParamHeaders[0].Name != "Mcp-Param-A" {
					t.Errorf("%s leads to %+v, %v", name, target, err)
				}
			}
		})
	}
	calls.Wait()
	if n := up.asked(); n != 1 {
		t.Errorf("listed %d times", n)
	}
}
