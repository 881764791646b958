package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/headgate/headgate/config"
)

// The sections that say who may do what, and how much, mean what they say.
func TestPoliciesAreRead(t *testing.T) {
	t.Parallel()
	c, err := config.Load("testdata/load/good_policies.yaml", environment)
	if err != nil {
		t.Fatal(err)
	}
	whole := func(n int64) config.Amount { return config.Amount(n * config.Millionths) }
	limits := []config.Limit{
		{Name: "per-ip", Scope: "ip", Unit: "requests", Rate: config.Rate{Count: 50, Per: time.Second}, Burst: 100, Cost: whole(1)},
		{Name: "key-rate", Scope: "key", Unit: "requests", Rate: config.Rate{Count: 20, Per: time.Second}, Burst: 40, Cost: whole(1)},
		{Name: "org-day", Scope: "org", Unit: "requests", Limit: whole(100_000), Per: "day", Cost: whole(1)},
		{Name: "org-tokens", Scope: "org", Unit: "tokens", Model: "*", Limit: whole(2_000_000), Per: "day"},
		{Name: "org-money", Scope: "org", Unit: "usd", Limit: whole(50), Per: "month", WarnAt: 80},
		{Name: "gpu-slots", Scope: "team", Unit: "in_flight", Model: "llama-70b", Limit: whole(4), Cost: whole(1)},
		{Name: "heavy-tool", Scope: "user", Unit: "requests", Tool: "render__*", Limit: whole(1000), Per: "hour", Cost: whole(10)},
	}
	for i := range limits {
		limits[i].Mode = "enforce"
	}
	if diff := cmp.Diff(limits, c.Limits, cmpopts.IgnoreFields(config.Limit{}, "Position")); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
	access := []config.AccessRule{
		{Who: config.Who{Team: "build"}, Allow: []string{"tools/call:files__read_*"}, Deny: []string{"resources/*"}},
		{Who: config.Who{Org: "acme"}, Deny: []string{"tools/call:search__*"}},
	}
	if diff := cmp.Diff(access, c.Access, cmpopts.IgnoreFields(config.AccessRule{}, "Position", "When")); diff != "" {
		t.Errorf("access (-want +got):\n%s", diff)
	}
	if c.Access[0].When != nil || c.Access[1].When.String() != "args.query.size() > 1000" {
		t.Errorf("conditions %v, %v", c.Access[0].When, c.Access[1].When)
	}
	cache := &config.Cache{
		MaxSize: 256 * config.MiB, Lists: config.CachedLists{TTL: 30 * time.Second},
		Tools:  config.CachedTools{Allow: []string{"search__find_*"}, TTL: 5 * time.Minute},
		Models: config.CachedModels{Allow: []string{"llama-70b"}, TTL: 10 * time.Minute},
	}
	if diff := cmp.Diff(cache, c.Cache); diff != "" {
		t.Errorf("cache (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(config.Default().Bounds, c.Bounds); diff != "" {
		t.Errorf("bounds (-want +got):\n%s", diff)
	}
}
