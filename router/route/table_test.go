package route

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func anywhere(string) bool { return true }

func condition(t testing.TB, source string) *config.Condition {
	t.Helper()
	c, err := config.ParseCondition(source)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// callOf makes a call and its target.
func callOf(method, canonical, own string, arguments string) *rpc.Call {
	row, ok := mcp.Lookup(method, mcp.LatestModern)
	if !ok {
		row = mcp.Foreign(method)
	}
	kind := map[string]rpc.Kind{
		mcp.ToolsCall: rpc.Tool, mcp.PromptsGet: rpc.Prompt, mcp.ResourcesRead: rpc.Resource, mcp.TasksGet: rpc.Task,
	}[method]
	m := rpc.NewRequest(rpc.NumberID(1), method, []byte(`{"arguments":`+arguments+`}`)).Clone()
	return &rpc.Call{
		Message: m, Method: row, Header: http.Header{}, Principal: rpc.Principal{Org: "acme", Team: "tools", Key: "dev", User: "ann"},
		Target: rpc.Target{Kind: kind, Canonical: canonical, Own: own, Upstream: "up"},
	}
}

func TestEachPartOfAMatchCounts(t *testing.T) {
	t.Parallel()
	tool := func() *rpc.Call { return callOf(mcp.ToolsCall, "render__draw", "draw", `{"size": 3}`) }
	read := func() *rpc.Call { return callOf(mcp.ResourcesRead, "db://up+/x", "db:///x", `{}`) }
	with := func(c *rpc.Call, name string, values ...string) *rpc.Call {
		c.Header[http.CanonicalHeaderKey(name)] = values
		return c
	}
	when := func(source string) config.RouteMatch { return config.RouteMatch{When: condition(t, source)} }
	tests := map[string]struct {
		match config.RouteMatch
		call  *rpc.Call
		want  bool
	}{
		"nothing":                       {config.RouteMatch{}, tool(), true},
		"a method":                      {config.RouteMatch{Method: "tools/call"}, tool(), true},
		"a glob of methods":             {config.RouteMatch{Method: "tools/*"}, tool(), true},
		"another method":                {config.RouteMatch{Method: "prompts/*"}, tool(), false},
		"a tool":                        {config.RouteMatch{Tool: "render__draw"}, tool(), true},
		"a tool by its own name":        {config.RouteMatch{Tool: "draw"}, tool(), false},
		"a glob of tools":               {config.RouteMatch{Tool: "render__*"}, tool(), true},
		"a question mark":               {config.RouteMatch{Tool: "render__dra?"}, tool(), true},
		"another tool":                  {config.RouteMatch{Tool: "render__paint"}, tool(), false},
		"a prompt of a tool's name":     {config.RouteMatch{Prompt: "render__draw"}, tool(), false},
		"a tool of a prompt's name":     {config.RouteMatch{Tool: "*"}, callOf(mcp.PromptsGet, "p__a", "a", "{}"), false},
		"a prompt":                      {config.RouteMatch{Prompt: "p__*"}, callOf(mcp.PromptsGet, "p__a", "a", "{}"), true},
		"a URI":                         {config.RouteMatch{URI: "db:///x"}, read(), true},
		"a URI as clients are shown it": {config.RouteMatch{URI: "db://up+/x"}, read(), true},
		"a glob of URIs":                {config.RouteMatch{URI: "db:*"}, read(), true},
		"another URI":                   {config.RouteMatch{URI: "db:///y"}, read(), false},
		"a URI that nobody is known to have": {
			config.RouteMatch{URI: "db:///x"}, callOf(mcp.ResourcesRead, "", "db:///x", "{}"), true,
		},
		"an organisation":              {config.RouteMatch{Org: "ac*"}, tool(), true},
		"another organisation":         {config.RouteMatch{Org: "other"}, tool(), false},
		"another team":                 {config.RouteMatch{Org: "acme", Team: "other"}, tool(), false},
		"another key":                  {config.RouteMatch{Key: "ci"}, tool(), false},
		"another user":                 {config.RouteMatch{User: "bob"}, tool(), false},
		"all of a caller":              {config.RouteMatch{Org: "acme", Team: "tools", Key: "dev", User: "ann"}, tool(), true},
		"a header":                     {config.RouteMatch{Header: map[string]string{"x-CANARY": "yes"}}, with(tool(), "X-Canary", "yes"), true},
		"a header's glob":              {config.RouteMatch{Header: map[string]string{"X-Canary": "y*"}}, with(tool(), "x-canary", "yes"), true},
		"a header's value in a case":   {config.RouteMatch{Header: map[string]string{"X-Canary": "YES"}}, with(tool(), "X-Canary", "yes"), false},
		"a repeated header":            {config.RouteMatch{Header: map[string]string{"X-Canary": "yes"}}, with(tool(), "X-Canary", "no", "yes"), true},
		"a header that is not there":   {config.RouteMatch{Header: map[string]string{"X-Canary": "*"}}, tool(), false},
		"a header that is empty":       {config.RouteMatch{Header: map[string]string{"X-Canary": "*"}}, with(tool(), "X-Canary", ""), true},
		"one of two headers":           {config.RouteMatch{Header: map[string]string{"X-A": "1", "X-B": "2"}}, with(tool(), "X-A", "1"), false},
		"a condition":                  {when(`args.size > 2 && name == "render__draw" && method == "tools/call" && principal.org == "acme"`), tool(), true},
		"a condition that is false":    {when(`args.size > 3`), tool(), false},
		"a condition on what is not":   {when(`args.colour == "red"`), tool(), false},
		"a condition without sense":    {when(`args.size.startsWith("a")`), tool(), false},
		"a condition on no arguments":  {when(`args.size() == 0`), callOf(mcp.ToolsCall, "a__b", "b", "null"), true},
		"a condition on two arguments": {when(`args.a == 1`), callOf(mcp.ToolsCall, "a__b", "b", `{"a":1,"a":2}`), false},
		"a condition on a long call":   {when(`args.a.size() > 0`), callOf(mcp.ToolsCall, "a__b", "b", `{"a":"`+strings.Repeat("x", maxArguments)+`"}`), false},
		"a foreign method":             {config.RouteMatch{Method: "acme/*"}, callOf("acme/do", "", "", "{}"), true},
		"another foreign method":       {config.RouteMatch{Method: "acme/*"}, callOf("other/do", "", "", "{}"), false},
		"a tool for a foreign method":  {config.RouteMatch{Tool: "*"}, callOf("acme/do", "", "", "{}"), false},
		"a task":                       {config.RouteMatch{}, callOf(mcp.TasksGet, "", "1", "{}"), false},
		"what is completed, as if used": {
			config.RouteMatch{Method: "prompts/get"},
			func() *rpc.Call { c := callOf(mcp.Complete, "p__a", "a", "{}"); c.Target.Kind = rpc.Prompt; return c }(), true,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := New([]config.RouteRule{{Match: tt.match, To: "x"}}, anywhere)
			if got := table.Match(tt.call, &tt.call.Target) != nil; got != tt.want {
				t.Errorf("matches: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestTheFirstRuleThatMatchesHolds(t *testing.T) {
	t.Parallel()
	table := New([]config.RouteRule{
		{Match: config.RouteMatch{Tool: "a__one", Org: "other"}, To: "0"},
		{Match: config.RouteMatch{Tool: "a__*"}, To: "1"},
		{Match: config.RouteMatch{Tool: "a__one"}, To: "2"},
		{Match: config.RouteMatch{Model: "*"}, To: "3"},
		{Match: config.RouteMatch{URI: "x:b"}, To: "4"},
		{Match: config.RouteMatch{URI: "x:up+b"}, To: "5"},
		{To: "6"},
	}, anywhere)
	for call, want := range map[*rpc.Call]string{
		callOf(mcp.ToolsCall, "a__one", "one", "{}"):      "1",
		callOf(mcp.ToolsCall, "b__one", "one", "{}"):      "6",
		callOf(mcp.ResourcesRead, "x:up+b", "x:b", "{}"):  "4",
		callOf(mcp.ResourcesRead, "x:up+b", "x:bc", "{}"): "5",
		callOf(mcp.PromptsGet, "a__one", "one", "{}"):     "6",
	} {
		if got := table.Match(call, &call.Target).Choose(call); got != want {
			t.Errorf("%s %s: rule %s, want %s", call.Method.Name, call.Target.Canonical, got, want)
		}
	}
}

func TestWithoutRulesOfTheProtocolThereIsNoTable(t *testing.T) {
	t.Parallel()
	if New(nil, anywhere) != nil || New([]config.RouteRule{{Match: config.RouteMatch{Model: "m"}, To: "x"}}, anywhere) != nil {
		t.Error("there is one")
	}
}

// naive compares a call with each rule in turn, part by part.
func naive(rules []config.RouteRule, c *rpc.Call) int {
	for i, r := range rules {
		m := r.Match
		names := map[rpc.Kind]string{rpc.Tool: m.Tool, rpc.Prompt: m.Prompt, rpc.Resource: m.URI}
		ok := m.Method == "" || config.Match(m.Method, c.Method.Name)
		for kind, glob := range names {
			fits := kind == c.Target.Kind && (config.Match(glob, c.Target.Canonical) || kind == rpc.Resource && config.Match(glob, c.Target.Own))
			ok = ok && (glob == "" || fits)
		}
		ok = ok && m.Who().Matches(c.Principal.Org, c.Principal.Team, c.Principal.Key, c.Principal.User)
		for name, glob := range m.Header {
			found := false
			for _, v := range c.Header.Values(name) {
				found = found || config.Match(glob, v)
			}
			ok = ok && found
		}
		if ok {
			return i
		}
	}
	return -1
}

func TestTheTableAgreesWithReadingAllRules(t *testing.T) {
	t.Parallel()
	names := []string{"a__x", "a__y", "b__x", "a__*", "*__x", "?__y", "x:a", "x:b", "x:*", "*"}
	methods := []string{"", "tools/call", "prompts/get", "resources/read", "tools/*", "*", "acme/do", "acme/*"}
	values := []string{"", "1", "2", "*"}
	rapid.Check(t, func(t *rapid.T) {
		pick := func(label string, from []string) string { return rapid.SampledFrom(from).Draw(t, label) }
		rules := make([]config.RouteRule, rapid.IntRange(1, 12).Draw(t, "rules"))
		for i := range rules {
			m := config.RouteMatch{Method: pick("method", methods), Org: pick("org", values)}
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 1:
				m.Tool = pick("tool", names)
			case 2:
				m.Prompt = pick("prompt", names)
			case 3:
				m.URI = pick("uri", names)
			}
			if v := pick("header", values); v != "" {
				m.Header = map[string]string{"x-h": v}
			}
			rules[i] = config.RouteRule{Match: m, To: fmt.Sprint(i)}
		}
		c := callOf(pick("called", []string{mcp.ToolsCall, mcp.PromptsGet, mcp.ResourcesRead, "acme/do", "acme/other"}), pick("canonical", names[:8]), pick("own", names[:8]), "{}")
		if c.Target.Kind == rpc.None {
			c.Target.Canonical, c.Target.Own = "", ""
		}
		c.Principal = rpc.Principal{Org: pick("caller", values)}
		for range rapid.IntRange(0, 2).Draw(t, "values") {
			c.Header.Add("X-H", pick("value", values))
		}
		want := naive(rules, c)
		got := -1
		if r := New(rules, anywhere).Match(c, &c.Target); r != nil {
			got = r.order
		}
		if got != want {
			t.Fatalf("rule %d, want %d of %+v for %s %+v", got, want, rules, c.Method.Name, c.Target)
		}
	})
}

// table100 has rules of all sorts, none of which matches the call of the benchmark.
func table100(b testing.TB) *Table {
	b.Helper()
	var rules []config.RouteRule
	for i := range 25 {
		rules = append(rules,
			config.RouteRule{Match: config.RouteMatch{Tool: fmt.Sprintf("up%d__tool", i)}, To: "x"},
			config.RouteRule{Match: config.RouteMatch{Tool: fmt.Sprintf("up%d__*", i), Org: "acme"}, To: "x"},
			config.RouteRule{Match: config.RouteMatch{Method: "tools/*", Key: fmt.Sprintf("key-%d", i)}, Weights: map[string]int{"x": 1, "y": 2}},
			config.RouteRule{Match: config.RouteMatch{Header: map[string]string{fmt.Sprintf("X-Canary-%d", i): "yes"}, When: condition(b, "args.a == 1")}, To: "x"},
		)
	}
	return New(rules, anywhere)
}

func BenchmarkMatch100RulesNone(b *testing.B) {
	table, c := table100(b), callOf(mcp.ToolsCall, "render__draw", "draw", "{}")
	c.Header.Set("Content-Type", "application/json")
	b.ReportAllocs()
	for b.Loop() {
		if table.Match(c, &c.Target) != nil {
			b.Fatal("a rule matches")
		}
	}
}

func BenchmarkMatchExactAmong100Rules(b *testing.B) {
	table, c := table100(b), callOf(mcp.ToolsCall, "up0__tool", "tool", "{}")
	b.ReportAllocs()
	for b.Loop() {
		if table.Match(c, &c.Target) == nil {
			b.Fatal("no rule matches")
		}
	}
}

func BenchmarkChooseByWeights(b *testing.B) {
	c := callOf(mcp.ToolsCall, "a__b", "b", "{}")
	r := New([]config.RouteRule{{Weights: map[string]int{"x": 90, "y": 9, "z": 1}}}, anywhere).Match(c, &c.Target)
	b.ReportAllocs()
	for b.Loop() {
		if r.Choose(c) == "" {
			b.Fatal("none")
		}
	}
}

func TestAMatchAllocatesNothing(t *testing.T) {
	table, c := table100(t), callOf(mcp.ToolsCall, "render__draw", "draw", "{}")
	if n := testing.AllocsPerRun(100, func() { table.Match(c, &c.Target) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
