package route

import (
	"fmt"
	"math"
	"testing"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// weighted returns the one rule of a table, which divides calls.
func weighted(t *testing.T, weights map[string]int, serves func(string) bool) *Rule {
	t.Helper()
	c := callOf(mcp.ToolsCall, "a__b", "b", "{}")
	return New([]config.RouteRule{{Weights: weights}}, serves).Match(c, &c.Target)
}

// sessions returns what a rule chooses for many sessions.
func sessions(r *Rule, n int) map[string]string {
	out := map[string]string{}
	for i := range n {
		session := fmt.Sprintf("session-%d", i)
		out[session] = r.Choose(&rpc.Call{Client: rpc.Client{Session: session}})
	}
	return out
}

func TestWeightsDivideSessionsInTheirProportion(t *testing.T) {
	t.Parallel()
	const n = 20_000
	count := map[string]int{}
	for _, chosen := range sessions(weighted(t, map[string]int{"a": 90, "b": 9, "c": 1}, anywhere), n) {
		count[chosen]++
	}
	for name, share := range map[string]float64{"a": 0.9, "b": 0.09, "c": 0.01} {
		sigma := math.Sqrt(n * share * (1 - share))
		if got := float64(count[name]); math.Abs(got-n*share) > 5*sigma {
			t.Errorf("%s got %v of %d, want %v", name, got, n, n*share)
		}
	}
}

func TestASessionStaysWithWhatItGot(t *testing.T) {
	t.Parallel()
	const n = 2000
	before := sessions(weighted(t, map[string]int{"a": 90, "b": 10}, anywhere), n)
	moved := 0
	for session, now := range sessions(weighted(t, map[string]int{"b": 20, "a": 80}, anywhere), n) {
		switch before[session] {
		case now:
		case "b":
			t.Fatalf("%s left the upstream whose share has grown", session)
		default:
			moved++
		}
	}
	if moved == 0 || moved > n/5 {
		t.Errorf("%d of %d sessions have another one, about a tenth has to", moved, n)
	}
	for session, now := range sessions(weighted(t, map[string]int{"a": 90, "b": 10}, func(name string) bool { return name == "a" }), n) {
		if now != "a" {
			t.Fatalf("%s is with %q, which is not there", session, now)
		}
	}
}

func TestWhoDrawsTheSame(t *testing.T) {
	t.Parallel()
	draw := func(session, org, user string) uint64 {
		return drawFor(&rpc.Call{Client: rpc.Client{Session: session}, Principal: rpc.Principal{Org: org, User: user}})
	}
	for name, tt := range map[string]struct {
		one, other uint64
		same       bool
	}{
		"a session, whoever calls":         {draw("s", "a", "b"), draw("s", "c", "d"), true},
		"a caller":                         {draw("", "a", "b"), draw("", "a", "b"), true},
		"another caller":                   {draw("", "a", "b"), draw("", "a", "c"), false},
		"parts that run into one another":  {draw("", "a", "b"), draw("", "ab", ""), false},
		"nobody in particular, each alone": {draw("", "", ""), draw("", "", ""), false},
	} {
		if (tt.one == tt.other) != tt.same {
			t.Errorf("%s: %x and %x", name, tt.one, tt.other)
		}
	}
}

func TestWithoutAnybodyToChooseTheOwnerServes(t *testing.T) {
	t.Parallel()
	r := weighted(t, map[string]int{"a": 1}, func(string) bool { return false })
	if got := r.Choose(&rpc.Call{}); got != "" {
		t.Errorf("it chooses %q", got)
	}
}

func TestARuleSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	for want, rule := range map[string]config.RouteRule{
		"to x": {To: "x"},
		"divided among a 90, b 10; mirrored to c; fallback d, e; timeout 1s; max_timeout 1m0s": {
			Weights: map[string]int{"b": 10, "a": 90}, Mirror: "c", Fallback: []string{"d", "e"}, Timeout: 1e9, MaxTimeout: 60e9,
		},
	} {
		c := callOf(mcp.ToolsCall, "a__b", "b", "{}")
		if got := New([]config.RouteRule{rule}, anywhere).Match(c, &c.Target).Does; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
