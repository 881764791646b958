package policy_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// rule makes a rule of the text of its parts.
func rule(t *testing.T, who config.Who, allow, deny []string, when string) config.AccessRule {
	t.Helper()
	r := config.AccessRule{Who: who, Allow: allow, Deny: deny}
	if when != "" {
		var err error
		if r.When, err = config.ParseCondition(when); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// toolCall is a call as it arrives behind the router.
func toolCall(t testing.TB, p rpc.Principal, canonical, arguments string) *rpc.Call {
	t.Helper()
	m, err := rpc.Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":`+arguments+`}}`), rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	method, _ := mcp.Lookup(mcp.ToolsCall, mcp.LatestModern)
	return &rpc.Call{Message: m, Method: method, Dialect: rpc.MCP, Principal: p, Target: rpc.Target{Kind: rpc.Tool, Canonical: canonical}}
}

// ask passes a call through the guard and returns the error, nil if it passed.
func ask(a *policy.Access, c *rpc.Call) error {
	guard := a.Guard(policy.Verbs{Of: mcp.Verb, Listed: mcp.Listed}, func(_ *rpc.Call, method string) error { return errors.New("lacks " + method) })
	passed := false
	_, err := guard(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		passed = true
		return rpc.Respond(nil), nil
	})).Handle(context.Background(), c)
	if passed == (err != nil) {
		panic("a call passed and was refused, or neither")
	}
	return err
}

func TestAccess(t *testing.T) {
	t.Parallel()
	build := rpc.Principal{Org: "acme", Team: "build", Scopes: []string{"mcp:tools/*"}}
	other := rpc.Principal{Org: "acme", Team: "other", Scopes: []string{"openid", "mcp:*"}}
	rules := []config.AccessRule{
		rule(t, config.Who{Team: "build"}, []string{"tools/call:files__read_*"}, []string{"resources/*"}, ""),
		rule(t, config.Who{Org: "acme"}, nil, []string{"tools/call:search__*"}, `args.query.size() > 5`),
		rule(t, config.Who{}, nil, []string{"tools/call:*__delete"}, `principal.team != "admin"`),
	}
	a := policy.NewAccess(rules, false)
	for _, c := range []struct {
		who             rpc.Principal
		tool, arguments string
		call            string // a part of the refusal, empty if it passes
		listed          bool
	}{
		{build, "files__read_file", `{}`, "", true},
		{build, "files__write_file", `{}`, "access rules do not allow tools/call", false},
		{build, "search__find", `{}`, "access rules", false},
		{other, "files__write_file", `{}`, "", true},
		{other, "search__find", `{"query":"short"}`, "", true},
		{other, "search__find", `{"query":"longer"}`, "access rules", true},
		{other, "search__find", `{}`, "", true},
		{other, "search__find", `{"query":17}`, "access rules", true},
		{other, "search__find", `{"query":"short","query":"longer"}`, "cannot be judged", true},
		{other, "files__delete", `{}`, "access rules", false},
		{rpc.Principal{Team: "admin", Scopes: []string{"mcp:tools/call"}}, "files__delete", `{}`, "", true},
		{rpc.Principal{Team: "admin", Scopes: []string{"infer:*"}}, "files__delete", `{}`, "lacks tools/call", false},
		{rpc.Principal{Team: "admin"}, "files__delete", `{}`, "lacks tools/call", false},
	} {
		call := toolCall(t, c.who, c.tool, c.arguments)
		if err := ask(a, call); (err == nil) != (c.call == "") || err != nil && !strings.Contains(err.Error(), c.call) {
			t.Errorf("%s %s %s: %v; want %q", c.who.Team, c.tool, c.arguments, err, c.call)
		}
		if sees := a.Sees(&c.who, rpc.MCP, mcp.ToolsCall, &call.Target); sees != c.listed {
			t.Errorf("%s %s: listed %v", c.who.Team, c.tool, sees)
		}
	}
}

func TestAccessMatchesResourcesByBothURIs(t *testing.T) {
	t.Parallel()
	a := policy.NewAccess([]config.AccessRule{rule(t, config.Who{}, nil, []string{"resources/read:file:///secret/*", "resources/read:db://two+*"}, "")}, true)
	for own, canonical := range map[string]string{"file:///secret/a": "file://one+/secret/a", "db://x": "db://two+x"} {
		if a.Sees(&rpc.Principal{}, rpc.MCP, mcp.ResourcesRead, &rpc.Target{Kind: rpc.Resource, Own: own, Canonical: canonical}) {
			t.Errorf("%s is seen", own)
		}
	}
	if !a.Sees(&rpc.Principal{}, rpc.MCP, mcp.ResourcesRead, &rpc.Target{Kind: rpc.Resource, Own: "db://x", Canonical: "db://one+x"}) {
		t.Error("the resource of another upstream is not seen")
	}
}

// T7: what is listed and what may be called follow from the same rules, in 10,000
// random cases as a second evaluator decides them.
func TestT7_RulesAreEvaluatedAlike(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 7))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	some := func() (out []string) {
		for range random.IntN(3) {
			out = append(out, pick("tools/call", "tools/*", "*", "prompts/get", "resources/*")+
				pick("", "", ":a__*", ":*__read", ":b__write", ":?__read", ":*"))
		}
		return out
	}
	for range 10_000 {
		var rules []config.AccessRule
		for range random.IntN(4) {
			who := config.Who{Org: pick("", "acme", "a*"), Team: pick("", "", "build", "?uild"), User: pick("", "", "eve")}
			rules = append(rules, rule(t, who, some(), some(), ""))
		}
		p := rpc.Principal{
			Org: pick("acme", "other"), Team: pick("build", "guild", "ops"), User: pick("eve", "bob"),
			Scopes: []string{pick("mcp:*", "mcp:tools/*", "mcp:tools/call", "mcp:prompts/*", "infer:*", "tools/call")},
		}
		tool := pick("a", "b", "c") + "__" + pick("read", "write")
		want := reference(rules, p, tool)
		a := policy.NewAccess(rules, false)
		call := toolCall(t, p, tool, `{}`)
		if err := ask(a, call); (err == nil) != want {
			t.Fatalf("%+v %s under %s: %v; want %v", p, tool, describe(rules), err, want)
		}
		if a.Sees(&p, rpc.MCP, mcp.ToolsCall, &call.Target) != want {
			t.Fatalf("%+v %s under %s: called and listed differently", p, tool, describe(rules))
		}
	}
}

// reference decides by other means: path.Match, whose * does not cross slashes, on texts
// without them.
func reference(rules []config.AccessRule, p rpc.Principal, tool string) bool {
	flat := func(s string) string { return strings.ReplaceAll(s, "/", "|") }
	glob := func(pattern, s string) bool {
		ok, err := path.Match(flat(pattern), flat(s))
		return ok && err == nil
	}
	act := func(patterns []string) bool {
		for _, text := range patterns {
			if !strings.Contains(text, ":") {
				text += ":*"
			}
			if glob(text, "tools/call:"+tool) {
				return true
			}
		}
		return false
	}
	if !glob(p.Scopes[0], "mcp:tools/call") {
		return false
	}
	for _, r := range rules {
		concerned := (r.Who.Org == "" || glob(r.Who.Org, p.Org)) && (r.Who.Team == "" || glob(r.Who.Team, p.Team)) &&
			(r.Who.User == "" || glob(r.Who.User, p.User))
		if concerned && (act(r.Deny) || len(r.Allow) > 0 && !act(r.Allow)) {
			return false
		}
	}
	return true
}

func describe(rules []config.AccessRule) string {
	var b strings.Builder
	for _, r := range rules {
		fmt.Fprintf(&b, "{who %+v allow %v deny %v}", r.Who, r.Allow, r.Deny)
	}
	return b.String()
}
