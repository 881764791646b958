package config_test

import (
	"strings"
	"testing"

	"github.com/headgate/headgate/config"
)

// facts are given by name.
type facts map[string]any

func (f facts) ResolveName(name string) (any, bool) { v, ok := f[name]; return v, ok }

func TestConditionHolds(t *testing.T) {
	t.Parallel()
	call := facts{
		config.FactPrincipal: map[string]any{"org": "acme", "scopes": []string{"mcp:*"}},
		config.FactMethod:    "tools/call", config.FactName: "search__find",
		config.FactArguments: map[string]any{"query": "all", "limit": 20.0, "tags": []any{"a"}},
	}
	for source, want := range map[string]string{
		`args.query.size() > 2`:                             "true",
		`args.query.size() > 3`:                             "false",
		`args.limit > 10`:                                   "true",
		`args.limit > 10.5 && "a" in args.tags`:             "true",
		`args.absent > 10`:                                  "false",
		`args.query.absent == 1`:                            "false",
		`args.query > 10`:                                   "error",
		`args.query`:                                        "error",
		`principal.org == "acme" && method == "tools/call"`: "true",
		`principal.team == "x"`:                             "false",
		`name.startsWith("search__")`:                       "true",
		`has(args.query) && !has(args.absent)`:              "true",
		`"mcp:*" in principal.scopes`:                       "true",

		`args.tags.all(a, args.tags.all(b, args.tags.all(c, a == b)))`: "true",
	} {
		c, err := config.ParseCondition(source)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		holds, err := c.Holds(call)
		if got := map[bool]string{true: "true", false: "false"}[holds]; err != nil && want != "error" || err == nil && got != want {
			t.Errorf("%s is %v, %v; want %s", source, holds, err, want)
		}
		if c.NeedsArguments() != strings.Contains(source, "args") {
			t.Errorf("%s: needs arguments: %v", source, c.NeedsArguments())
		}
	}
}

// What a hostile client sends must not make a condition take long.
func TestConditionIsBounded(t *testing.T) {
	t.Parallel()
	c, err := config.ParseCondition(`args.list.all(x, args.list.all(y, x + y >= 0.0))`)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]any, 100_000)
	for i := range list {
		list[i] = 1.0
	}
	if _, err := c.Holds(facts{config.FactArguments: map[string]any{"list": list}}); err == nil || !strings.Contains(err.Error(), "cost") {
		t.Fatalf("it ended with %v", err)
	}
}

func TestConditionsAreRefused(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		``:                     "is no condition",
		`args.query.size( > 2`: "character 18",
		`nobody.org == "x"`:    "nobody",
		`name`:                 "must be true or false, and is of the type string",
		`name == 2`:            "no matching overload",
	} {
		_, err := config.ParseCondition(source)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v; want %q", source, err, want)
		}
	}
}
