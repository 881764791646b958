package router

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/router/catalog"
	"github.com/headgate/headgate/router/route"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/state/seal"
)

// library is an upstream that says in its answers who it is. Its tool "look" is read-only.
func library(name string) *upstream {
	return &upstream{results: map[string]string{
		mcp.ToolsList: `{"tools":[{"name":"look","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}},` +
			`{"name":"change","inputSchema":{"type":"object"}},{"name":"only-` + name + `","inputSchema":{"type":"object"}}]}`,
		mcp.PromptsList:   `{"prompts":[{"name":"hello"}]}`,
		mcp.ResourcesList: `{"resources":[{"uri":"lib:` + name + `","name":"r"}]}`,
		mcp.TemplatesList: `{"resourceTemplates":[]}`,
		mcp.ToolsCall:     `{"by":"` + name + `"}`,
		mcp.PromptsGet:    `{"by":"` + name + `"}`,
		mcp.ResourcesRead: `{"by":"` + name + `","contents":[]}`,
		mcp.Complete:      `{"by":"` + name + `","completion":{"values":[]}}`,
	}}
}

// routed is a router over libraries with rules.
type routed struct {
	gateway
	libraries map[string]*upstream
	mirrors   *route.Mirrors
	held      string // what calls go on with
}

func newRouted(t *testing.T, rules ...config.RouteRule) *routed {
	t.Helper()
	r := &routed{libraries: map[string]*upstream{}}
	names := []string{"a", "b", "c"}
	for _, name := range names {
		r.libraries[name] = library(name)
	}
	r.gateway = newGateway(t, names, r.libraries)
	r.mirrors = route.NewMirrors(t.Context(), slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = r.mirrors.Close(context.Background()) })
	var views []catalog.View
	for _, v := range r.views {
		views = append(views, *v)
	}
	deps := r.Deps
	var err error
	if deps.Keys, err = seal.Ephemeral(); err != nil {
		t.Fatal(err)
	}
	deps.Routes = route.New(rules, func(name string) bool { return slices.Contains(names, name) })
	deps.Mirrors, deps.Holds = r.mirrors, func(*rpc.Call) string { return r.held }
	r.Router = New(views, deps)
	return r
}

// asked returns who was asked for what, but for lists.
func (r *routed) asked() map[string][]string {
	out := map[string][]string{}
	for name, u := range r.libraries {
		if got := u.got(); len(got) > 0 {
			out[name] = got
		}
	}
	return out
}

func TestARuleSaysWhoServes(t *testing.T) {
	t.Parallel()
	toB := []config.RouteRule{{To: "b"}}
	tests := map[string]struct {
		rules                    []config.RouteRule
		endpoint, method, params string
		want                     string // what the answer begins with
		asked                    map[string][]string
	}{
		"a tool": {toB, "/mcp", mcp.ToolsCall, `{"name":"a__look"}`, `"result":{"by":"b"}`, map[string][]string{"b": {"tools/call look"}}},
		"a tool of an endpoint of one upstream": {
			toB, "/mcp/a", mcp.ToolsCall, `{"name":"look"}`, `"result":{"by":"b"}`, map[string][]string{"b": {"tools/call look"}},
		},
		"a tool of its own": {toB, "/mcp", mcp.ToolsCall, `{"name":"b__look"}`, `"result":{"by":"b"}`, map[string][]string{"b": {"tools/call look"}}},
		"a prompt":          {toB, "/mcp", mcp.PromptsGet, `{"name":"a__hello"}`, `"result":{"by":"b"}`, map[string][]string{"b": {"prompts/get hello"}}},
		"what a prompt is completed with": {
			[]config.RouteRule{{Match: config.RouteMatch{Method: "prompts/get"}, To: "b"}},
			"/mcp", mcp.Complete,
			`{"ref":{"type":"ref/prompt","name":"a__hello"},"argument":{"name":"x","value":""}}`, `"result":{"by":"b"`,
			map[string][]string{"b": {"completion/complete"}},
		},
		"a resource": {toB, "/mcp", mcp.ResourcesRead, `{"uri":"lib:a"}`, `"result":{"by":"b"`, map[string][]string{"b": {"resources/read lib:a"}}},
		"a resource that nobody is known to have": {
			[]config.RouteRule{{Match: config.RouteMatch{URI: "new:*"}, To: "c"}},
			"/mcp", mcp.ResourcesRead, `{"uri":"new:x"}`,
			`"result":{"by":"c"`,
			map[string][]string{"c": {"resources/read new:x"}},
		},
		"no rule that matches": {
			[]config.RouteRule{{Match: config.RouteMatch{Tool: "b__*"}, To: "b"}},
			"/mcp", mcp.ToolsCall, `{"name":"a__look"}`, `"result":{"by":"a"}`,
			map[string][]string{"a": {"tools/call look"}},
		},
		"a rule that says nothing of it": {
			[]config.RouteRule{{Timeout: time.Second}, {To: "b"}},
			"/mcp", mcp.ToolsCall, `{"name":"a__look"}`, `"result":{"by":"a"}`,
			map[string][]string{"a": {"tools/call look"}},
		},
		"an upstream that is switched off": {
			[]config.RouteRule{{To: "off"}}, "/mcp", mcp.ToolsCall, `{"name":"a__look"}`, `upstream_down: upstream "off"`, map[string][]string{},
		},
		"one that is switched off, and another one": {
			[]config.RouteRule{{To: "off", Fallback: []string{"gone", "c"}}},
			"/mcp", mcp.ToolsCall, `{"name":"a__change"}`, `"result":{"by":"c"}`,
			map[string][]string{"c": {"tools/call change"}},
		},
		"weights of those that are there": {
			[]config.RouteRule{{Weights: map[string]int{"off": 1000, "c": 1}}},
			"/mcp", mcp.ToolsCall, `{"name":"a__look"}`, `"result":{"by":"c"}`,
			map[string][]string{"c": {"tools/call look"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRouted(t, tt.rules...)
			if got := r.call(tt.endpoint, tt.method, tt.params); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if diff := cmp.Diff(tt.asked, r.asked()); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

// Names, lists and URIs are the owner's, whoever serves.
func TestClientsSeeTheOwner(t *testing.T) {
	t.Parallel()
	r := newRouted(t, config.RouteRule{Match: config.RouteMatch{Tool: "a__look"}, To: "b"})
	r.libraries["b"].results[mcp.ToolsCall] = `{"content":[{"type":"resource_link","uri":"lib:a","name":"r"},{"type":"resource_link","uri":"lib:new","name":"r"}]}`
	got := r.call("/mcp", mcp.ToolsCall, `{"name":"a__look"}`)
	if want := `"result":{"content":[{"type":"resource_link","uri":"lib:a","name":"r"},{"type":"resource_link","uri":"lib:new","name":"r"}]}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := r.call("/mcp", mcp.ResourcesRead, `{"uri":"lib:new"}`); !strings.HasPrefix(got, `"result":{"by":"a"`) {
		t.Errorf("a link leads to %s", got)
	}
}

func TestWhatGoesOnGoesToWhoHoldsIt(t *testing.T) {
	t.Parallel()
	r := newRouted(t, config.RouteRule{Match: config.RouteMatch{Tool: "a__*"}, To: "b", Fallback: []string{"a"}, Mirror: "a", MirrorAll: true})
	r.held = "c"
	r.libraries["c"].fail = &rpc.Error{Code: rpc.UpstreamDown, Message: "down", NotRun: true}
	if got := r.call("/mcp", mcp.ToolsCall, `{"name":"a__look"}`); !strings.HasPrefix(got, "upstream_down") {
		t.Error(got)
	}
	if diff := cmp.Diff(map[string][]string{"c": {"tools/call look"}}, r.asked()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// A task stays with the server that began it: the one that a rule chose, or the one that stood in.
func TestTasksStayWithWhoBeganThem(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]config.RouteRule{
		"a rule":     {Match: config.RouteMatch{Method: "tools/call"}, To: "b"},
		"a stand-in": {Match: config.RouteMatch{Method: "tools/call"}, To: "c", Fallback: []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRouted(t, rule, config.RouteRule{To: "a", Fallback: []string{"c"}})
			r.client = rpc.Client{
				Revision: mcp.LatestModern, Era: rpc.Modern, Capabilities: []byte(`{"extensions":{"io.modelcontextprotocol/tasks":{}}}`),
			}
			r.libraries["b"].results[mcp.ToolsCall] = `{"resultType":"task","taskId":"t1"}`
			r.libraries["b"].results[mcp.TasksGet] = `{"status":"working"}`
			r.libraries["c"].fail = &rpc.Error{Code: rpc.UpstreamDown, NotRun: true}
			answer := r.call("/mcp", mcp.ToolsCall, `{"name":"a__change"}`)
			_, id, found := strings.Cut(answer, `"taskId":`)
			if !found {
				t.Fatal(answer)
			}
			if got := r.call("/mcp", mcp.TasksGet, `{"taskId":`+id); got != `"result":{"status":"working"}` {
				t.Errorf("the task is answered %s", got)
			}
			if got := r.libraries["b"].got(); !slices.Equal(got, []string{"tools/call change", "tasks/get t1"}) {
				t.Errorf("its server was asked for %s", got)
			}
		})
	}
}

// statusFailure is how an upstream's adapter says which status it got.
type statusFailure int

func (s statusFailure) Error() string   { return "status" }
func (s statusFailure) HTTPStatus() int { return int(s) }

func TestOthersStandInWhereACallMayBeMadeAgain(t *testing.T) {
	t.Parallel()
	down := func(notRun bool) error { return &rpc.Error{Code: rpc.UpstreamDown, Message: "down", NotRun: notRun} }
	status := func(code int) error {
		return &rpc.Error{Code: rpc.UpstreamFailed, Message: "status", Cause: statusFailure(code)}
	}
	both := []string{"b", "c"}
	tests := map[string]struct {
		tool      string
		fallback  []string
		first     error // of the owner
		second    error // of b
		want      string
		attempted string
	}{
		"nothing is wrong": {"look", both, nil, nil, "a", "a"},
		"it is down":       {"look", both, down(false), nil, "b", "ab"},
		"both are down":    {"look", both, down(false), down(false), "c", "abc"},
		"a call that changes something may have run": {"change", both, down(false), nil, "upstream_down", "a"},
		"it has not run":                            {"change", both, down(true), nil, "b", "ab"},
		"it may have run at the second":             {"change", both, down(true), down(false), "upstream_down", "ab"},
		"it was silent":                             {"look", both, &rpc.Error{Code: rpc.UpstreamTimeout}, nil, "b", "ab"},
		"its queue is full":                         {"change", both, &rpc.Error{Code: rpc.Busy, NotRun: true}, nil, "b", "ab"},
		"it is overloaded":                          {"change", both, &rpc.Error{Code: rpc.Overloaded, NotRun: true}, nil, "b", "ab"},
		"it says that it is unavailable":            {"look", both, status(503), nil, "b", "ab"},
		"it says something else":                    {"look", both, status(500), nil, "upstream_failed", "a"},
		"it answers nonsense":                       {"look", both, &rpc.Error{Code: rpc.UpstreamFailed}, nil, "upstream_failed", "a"},
		"the client is at fault":                    {"look", both, &rpc.Error{Code: rpc.InvalidParams}, nil, "invalid_params", "a"},
		"nobody knows what it is":                   {"look", both, errors.New("strange"), nil, "strange", "a"},
		"another one has no such tool":              {"look", []string{"off", "b"}, down(false), nil, "b", "ab"},
		"those that were tried are not tried again": {"look", []string{"a", "b", "b"}, down(false), down(false), "upstream_down", "ab"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRouted(t, config.RouteRule{Match: config.RouteMatch{Tool: "a__*"}, Fallback: tt.fallback})
			r.libraries["a"].fail, r.libraries["b"].fail = tt.first, tt.second
			got := r.call("/mcp", mcp.ToolsCall, `{"name":"a__`+tt.tool+`"}`)
			if !strings.HasPrefix(strings.TrimPrefix(got, `"result":{"by":"`), tt.want) {
				t.Errorf("%s, want %s", got, tt.want)
			}
			attempted := ""
			for _, name := range []string{"a", "b", "c"} {
				attempted += strings.Repeat(name, len(r.libraries[name].got()))
			}
			if attempted != tt.attempted {
				t.Errorf("attempted %q, want %q", attempted, tt.attempted)
			}
		})
	}
}

// replying is an upstream that lists what another one does, and answers everything else in a way of its own.
func replying(u *upstream, reply func(ctx context.Context) *rpc.Reply) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if c.Method.Dest == rpc.Every {
			return u.Handle(ctx, c)
		}
		return reply(ctx), nil
	})
}

// failing is a reply that gives messages and then an error.
type failing struct {
	messages []*rpc.Message
	err      error
}

func (f *failing) Next() (*rpc.Message, error) {
	if len(f.messages) == 0 {
		return nil, f.err
	}
	m := f.messages[0]
	f.messages = f.messages[1:]
	return m, nil
}
func (*failing) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (*failing) Close() error              { return nil }

func TestOthersStandInUntilTheFirstMessageOnly(t *testing.T) {
	t.Parallel()
	late := &rpc.Error{Code: rpc.UpstreamTimeout, Message: "silent"}
	for name, tt := range map[string]struct {
		reply *failing
		want  string
	}{
		"before":   {&failing{nil, late}, `"result":{"by":"b"}`},
		"after it": {&failing{[]*rpc.Message{rpc.NewNotification(mcp.Progress, []byte(`{}`))}, late}, `"method":"notifications/progress"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRouted(t, config.RouteRule{Match: config.RouteMatch{Tool: "a__*"}, Fallback: []string{"b"}})
			r.Upstreams["a"] = replying(r.libraries["a"], func(context.Context) *rpc.Reply { return rpc.NewReply(tt.reply) })
			if got := r.call("/mcp", mcp.ToolsCall, `{"name":"a__look"}`); !strings.Contains(got, tt.want) {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// The time of a rule is that of the call, however many serve it.
func TestWhoStandsInHasTheRestOfTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t, config.RouteRule{Match: config.RouteMatch{Tool: "a__*"}, Fallback: []string{"b", "c"}, Timeout: 8 * time.Second, MaxTimeout: 10 * time.Second})
		took := map[string]time.Duration{"a": 3 * time.Second, "b": 7 * time.Second}
		seen := map[string]rpc.Route{}
		for name, u := range r.libraries {
			r.Upstreams[name] = rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
				if c.Method.Dest == rpc.Every {
					return u.Handle(ctx, c)
				}
				seen[name] = *c.Route
				time.Sleep(took[name])
				return nil, &rpc.Error{Code: rpc.UpstreamTimeout, Message: name}
			})
		}
		if got := r.call("/mcp", mcp.ToolsCall, `{"name":"a__look"}`); got != "upstream_timeout: b" {
			t.Error(got)
		}
		if a, b := seen["a"], seen["b"]; a.MaxTimeout != 10*time.Second || b.MaxTimeout != 7*time.Second || b.Timeout != 7*time.Second || len(seen) != 2 {
			t.Errorf("they had %+v", seen)
		}
	})
}

func TestWhoLeavesIsNotServedByOthers(t *testing.T) {
	t.Parallel()
	r := newRouted(t, config.RouteRule{Match: config.RouteMatch{Tool: "a__*"}, Fallback: []string{"b"}})
	ctx, cancel := context.WithCancel(t.Context())
	r.Upstreams["a"] = replying(r.libraries["a"], func(context.Context) *rpc.Reply {
		cancel()
		return rpc.NewReply(&failing{nil, &rpc.Error{Code: rpc.UpstreamDown, NotRun: true}})
	})
	row, _ := mcp.Lookup(mcp.ToolsCall, mcp.LatestLegacy)
	_, err := r.Resolve(r.Router).Handle(ctx, &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), mcp.ToolsCall, []byte(`{"name":"a__look"}`)), Method: row, Endpoint: "/mcp", Client: r.client,
	})
	if got := r.libraries["b"].got(); err == nil || len(got) > 0 {
		t.Errorf("%v, and b was asked for %v", err, got)
	}
}

func TestOnlyWhatMayHappenTwiceIsMirrored(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tool string
		all  bool
		to   string
		edit func(*routed)
		want route.Count
	}{
		"a read-only tool":              {"look", false, "b", nil, route.Count{Different: 1}},
		"one that changes something":    {"change", false, "b", nil, route.Count{}},
		"all of them":                   {"change", true, "b", nil, route.Count{Different: 1}},
		"where it is served anyway":     {"look", true, "a", nil, route.Count{}},
		"a mirror that is switched off": {"look", true, "off", nil, route.Count{}},
		"a mirror that is down":         {"look", false, "b", func(r *routed) { r.libraries["b"].fail = errors.New("down") }, route.Count{Failed: 1}},
		"a call that was not made":      {"look", false, "b", func(r *routed) { r.libraries["a"].fail = errors.New("down") }, route.Count{}},
		"a mirror that says the same":   {"look", false, "b", func(r *routed) { r.libraries["b"].results = r.libraries["a"].results }, route.Count{Equal: 1}},
		"a mirror that does not call it read-only": {
			"only-a", false, "b", func(r *routed) {
				r.libraries["a"].results[mcp.ToolsList] = `{"tools":[{"name":"only-a","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}]}`
			}, route.Count{Dropped: 1},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRouted(t, config.RouteRule{Match: config.RouteMatch{Tool: "a__*"}, Mirror: tt.to, MirrorAll: tt.all})
				if tt.edit != nil {
					tt.edit(r)
					time.Sleep(time.Hour) // lists are read again
					r.call("/mcp", mcp.ToolsList, `{}`)
					synctest.Wait()
				}
				r.call("/mcp", mcp.ToolsCall, `{"name":"a__`+tt.tool+`"}`)
				synctest.Wait()
				var want []route.Count
				if tt.want != (route.Count{}) {
					tt.want.Upstream = tt.to
					want = append(want, tt.want)
				}
				if diff := cmp.Diff(want, r.mirrors.Counts()); diff != "" {
					t.Errorf("counts (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What is completed is copied as if it were read, which changes nothing.
func TestACopyIsOfTheWholeCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t, config.RouteRule{Match: config.RouteMatch{Prompt: "a__*"}, Mirror: "b"})
		r.libraries["b"].results[mcp.Complete] = "echo"
		r.call("/mcp", mcp.Complete, `{"ref":{"type":"ref/prompt","name":"a__hello"},"argument":{"name":"x","value":""}}`)
		synctest.Wait()
		if diff := cmp.Diff(map[string][]string{"a": {"completion/complete"}, "b": {"completion/complete"}}, r.asked()); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
	})
}
